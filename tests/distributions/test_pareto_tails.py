"""A Normal body with generalised Pareto tails, against quadrature and scipy."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import scipy.stats
import torch
from scipy.integrate import quad

from vae_hydra.distributions import FixedDistribution, Huber, ParetoTails, UpperParetoTail, quantile

FAMILIES = [ParetoTails, UpperParetoTail]
# Thresholds and shapes: near a Huber, a learned start, a heavy tail from the middle on.
# The third number is the factor on the tail's scale with which the slope is continuous.
CASES = [(1.345, 0.01, 1.0), (2.0, 0.3, 1.0), (0.3, 0.8, 1.0), (3.0, 0.45, 1.0), (1.0, 0.3, 3.0), (2.0, 0.6, 0.2)]
LOC, SCALE = 0.7, 1.8


def make(family, threshold, shape, factor=1.0, dtype=torch.float64):
    values = (LOC, SCALE, threshold, shape, factor * (1 + shape) / threshold)
    return family(*(torch.tensor(value, dtype=dtype) for value in values))


def integral(q, function, low=-math.inf, high=math.inf):
    """∫ function(x)·p(x) dx, in pieces that end at the thresholds; the far ones on a logarithmic scale."""

    def integrand(x):
        return function(x) * q.log_prob(torch.tensor(x, dtype=torch.float64)).exp().item()

    reach = SCALE * q.threshold.item()
    kinks = [low, *(k for k in (LOC - reach, LOC, LOC + reach) if low < k < high), high]
    total = 0.0
    for a, b in pairwise(kinks):
        if math.isinf(a) or math.isinf(b):
            end, sign = (b, -1) if math.isinf(a) else (a, 1)
            step = lambda t, end=end, sign=sign: integrand(end + sign * math.exp(t)) * math.exp(t)  # noqa: E731
            total += quad(step, -30, 3, limit=200)[0] + quad(step, 3, 250, limit=400)[0]
        else:
            total += quad(integrand, a, b, limit=200)[0]
    return total


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("threshold", "shape", "factor"), CASES)
def test_mass_moments_and_entropy_match_quadrature(family, threshold, shape, factor):
    q = make(family, threshold, shape, factor)
    assert integral(q, lambda x: 1.0) == pytest.approx(1, abs=1e-7)
    mean = q.mean.item()
    assert integral(q, lambda x: x) == pytest.approx(mean, rel=1e-6)
    log_density = lambda x: -q.log_prob(torch.tensor(x, dtype=torch.float64)).item()  # noqa: E731
    assert integral(q, log_density) == pytest.approx(q.entropy().item(), rel=1e-6)
    if shape < 0.5:
        assert integral(q, lambda x: (x - mean) ** 2) == pytest.approx(q.variance.item(), rel=1e-5)
    else:
        assert q.variance.item() == math.inf


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("threshold", "shape", "factor"), CASES)
def test_cdf_is_the_integral_of_the_density_and_icdf_its_inverse(family, threshold, shape, factor):
    q = make(family, threshold, shape, factor)
    for x in (-8.0, 0.0, LOC, 2.0, 30.0):
        assert q.cdf(torch.tensor(x, dtype=torch.float64)).item() == pytest.approx(
            integral(q, lambda v: 1.0, high=x), abs=1e-8
        )
    p = torch.cat([torch.logspace(-9, -1, 50), torch.linspace(0.1, 0.999999, 200)]).double()
    torch.testing.assert_close(q.cdf(q.icdf(p)), p, rtol=1e-7, atol=0)
    assert torch.equal(quantile(q, p), q.icdf(p))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("threshold", "shape", "factor"), CASES)
def test_beyond_the_threshold_it_is_scipys_generalised_pareto(family, threshold, shape, factor):
    q = make(family, threshold, shape, factor)
    excess = scipy.stats.genpareto(shape, scale=SCALE * factor * (1 + shape) / threshold)
    edge = LOC + SCALE * threshold
    y = torch.tensor([1e-3, 1.0, 1e2, 1e5], dtype=torch.float64)
    above = 1 - q.cdf(torch.tensor(edge, dtype=torch.float64))
    expected = torch.from_numpy(excess.logpdf(y.numpy())) + above.log()
    torch.testing.assert_close(q.log_prob(edge + y), expected)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("threshold", "shape", "factor"), CASES)
def test_the_density_is_continuous_at_the_threshold_and_so_is_its_slope_with_the_factor_1(
    family, threshold, shape, factor
):
    q = make(family, threshold, shape, factor)
    edge = LOC + SCALE * threshold
    x = torch.tensor([edge - 1e-9, edge + 1e-9], dtype=torch.float64, requires_grad=True)
    values = q.log_prob(x)
    (slopes,) = torch.autograd.grad(values.sum(), x)
    torch.testing.assert_close(values[0], values[1], rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(slopes[1] * factor, slopes[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [1e-4, 1e-6])
def test_a_small_shape_is_a_huber(shape):
    x = torch.linspace(-6, 6, 121, dtype=torch.float64)
    found = ParetoTails(torch.zeros((), dtype=torch.float64), 1.0, 1.345, shape).log_prob(x)
    torch.testing.assert_close(
        found, Huber(torch.zeros((), dtype=torch.float64), 1.0).log_prob(x), atol=30 * shape, rtol=0
    )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("threshold", "shape", "factor"), CASES)
def test_draws_follow_the_distribution_and_its_tail_index(family, threshold, shape, factor):
    q = make(family, threshold, shape, factor)
    torch.manual_seed(0)
    draws = q.sample((50_000,))
    assert scipy.stats.kstest(draws.numpy(), lambda x: q.cdf(torch.from_numpy(x)).numpy()).pvalue > 1e-3
    far = torch.tensor([1e12, 1e13], dtype=torch.float64)
    assert q.log_prob(far).diff().item() / math.log(10) == pytest.approx(-1 - 1 / shape, rel=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_those_of_differences(family):
    parameters = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (LOC, SCALE, 1.2, 0.4, 0.7)]
    x = torch.tensor([-9.0, 0.1, 1.0, 40.0], dtype=torch.float64)
    torch.autograd.gradcheck(lambda *given: family(*given, validate_args=False).log_prob(x), parameters)
    torch.autograd.gradcheck(lambda *given: family(*given, validate_args=False).cdf(x), parameters)
    p = torch.tensor([0.001, 0.4, 0.95, 0.9999], dtype=torch.float64)
    torch.autograd.gradcheck(lambda *given: family(*given, validate_args=False).icdf(p), parameters)


@pytest.mark.parametrize("family", FAMILIES)
def test_moments_that_do_not_exist_are_said(family):
    q = family(torch.tensor(1.0), 2.0, 1.0, torch.tensor([0.4, 0.5, 1.0]))
    assert q.variance.isinf().tolist() == [False, True, True]
    assert q.mean[:2].isfinite().all()
    assert q.mean[2].isnan() if family is ParetoTails else q.mean[2] == math.inf


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_values_and_many_draws_are_finite(family, dtype):
    q = make(family, 2.0, 0.9, dtype=dtype)
    x = torch.tensor([-1e30, -3.0, 0.0, 3.0, 1e30], dtype=dtype).requires_grad_()
    if family is UpperParetoTail:
        x = x[1:].detach().requires_grad_()
    values = q.log_prob(x)
    assert values.isfinite().all()
    assert torch.autograd.grad(values.sum(), x)[0].isfinite().all()
    assert q.rsample((1_000_000,)).isfinite().all()


@pytest.mark.parametrize("family", FAMILIES)
def test_shapes_broadcast_expand_and_rebuild(family):
    q = family(torch.zeros(3, 1), torch.ones(4))
    assert q.batch_shape == q.mean.shape == q.variance.shape == q.entropy().shape == (3, 4)
    assert q.expand(torch.Size((2, 3, 4))).rsample((5,)).shape == (5, 2, 3, 4)
    x = torch.tensor([0.3, 9.0])
    again = FixedDistribution(make(family, 1.2, 0.4))()
    torch.testing.assert_close(again.log_prob(x).double(), make(family, 1.2, 0.4).log_prob(x.double()))
    for name in ("scale", "threshold", "tail_shape", "tail_scale"):
        with pytest.raises(ValueError, match=name):
            family(**{"loc": 0.0, "scale": 1.0, "threshold": 1.0, "tail_shape": 0.3, name: -1.0}, validate_args=True)


def test_mixture_of_its_parts_has_its_quantiles():
    """Drawn in scipy as body or tail, by their masses."""
    rng = np.random.default_rng(0)
    body = math.sqrt(2 * math.pi) * scipy.stats.norm.cdf(1.0)
    tail = math.exp(-0.5) * 1.5
    n = rng.binomial(100_000, tail / (body + tail))
    draws = np.concatenate(
        [scipy.stats.truncnorm.rvs(-np.inf, 1, size=100_000 - n, random_state=rng), 1 + _excess(rng, n)]
    )
    q = UpperParetoTail(torch.zeros((), dtype=torch.float64), 1.0, 1.0, 0.5)
    assert scipy.stats.kstest(draws, lambda x: q.cdf(torch.from_numpy(x)).numpy()).pvalue > 1e-3


def _excess(rng, n):
    return scipy.stats.genpareto.rvs(0.5, scale=1.5, size=n, random_state=rng)
