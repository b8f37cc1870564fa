"""The continuous Bernoulli against mpmath in 150 digits, for logits up to 10,000 in single and double precision."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad
from torch.distributions import ContinuousBernoulli as TorchContinuousBernoulli
from torch.distributions import kl_divergence

from vae_hydra.distributions import ContinuousBernoulli

mpmath.mp.dps = 150
SIZES = [0.0, 1e-30, 1e-6, 0.0042, 0.00999, 0.0101, 0.1, 0.4999, 0.5001, 1.0, 5.0, 15.9, 20.0, 30.0, 100.0, 224.0, 1e4]
LOGITS = [sign * size for size in SIZES for sign in (1, -1)]
POINTS = [0.0, 1e-6, 1e-3, 0.2, 0.5, 0.9, 0.999, 1.0]
TOLERANCE = {torch.float32: 2e-6, torch.float64: 4e-14}


def log_normaliser(a):
    """ln ∫₀¹ e^(a·x) dx."""
    return mpmath.log(mpmath.expm1(a) / a) if a else mpmath.mpf(0)


def exact_log_prob(a, x):
    return a * x - log_normaliser(a)


def exact_mean(a):
    return -1 / mpmath.expm1(-a) - 1 / a if a else mpmath.mpf(1) / 2


def exact_variance(a):
    return 1 / a**2 - 1 / (2 * mpmath.sinh(a / 2)) ** 2 if a else mpmath.mpf(1) / 12


def exact_entropy(a):
    return log_normaliser(a) - a * exact_mean(a)


def exact_cdf(a, x):
    return mpmath.expm1(a * x) / mpmath.expm1(a) if a else x


def exact_icdf(a, p):
    return mpmath.log(1 - p + p * mpmath.exp(a)) / a if a else p


def of(dtype, values=POINTS):
    """A row a logit, a column a point: the distribution, the points, and both as mpmath numbers."""
    logits, points = torch.tensor(LOGITS, dtype=dtype), torch.tensor(values, dtype=dtype)
    pairs = [[(mpmath.mpf(a), mpmath.mpf(x)) for x in points.tolist()] for a in logits.tolist()]
    return ContinuousBernoulli(logits=logits[:, None]), points.expand(len(logits), -1), pairs


def exactly(function, pairs):
    return torch.tensor([[float(function(*pair)) for pair in row] for row in pairs], dtype=torch.float64)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_log_prob(dtype):
    p, x, pairs = of(dtype)
    expected = exactly(exact_log_prob, pairs)
    # Relative to the larger of its two terms: a·d has the rounding of its factors.
    error = (p.log_prob(x).double() - expected).abs() / expected.abs().clamp(min=1)
    assert error.max() < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("name", "exact"), [("mean", exact_mean), ("variance", exact_variance), ("entropy", exact_entropy)]
)
def test_moments_and_entropy(name, exact, dtype):
    p, _, pairs = of(dtype, values=[0.0])
    value = getattr(p, name)
    value = value() if callable(value) else value
    expected = exactly(lambda a, _: exact(a), pairs)
    # The variance is a difference of two terms about 50 times as large where its series ends.
    factor = 10 if name == "variance" else 1
    assert value.dtype == dtype
    assert torch.allclose(value.double(), expected, rtol=factor * TOLERANCE[dtype], atol=TOLERANCE[dtype] / 10)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_cdf(dtype):
    p, x, pairs = of(dtype)
    assert torch.allclose(p.cdf(x).double(), exactly(exact_cdf, pairs), rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_icdf(dtype):
    p, u, pairs = of(dtype)
    assert torch.allclose(p.icdf(u).double(), exactly(exact_icdf, pairs), rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("logit", [20.0, 30.0, -100.0, 1e4])
def test_it_is_a_density_in_single_precision(logit):
    """torch's own has the mass 0.797, 0.531, 0.161 and 0.002 there."""
    p = ContinuousBernoulli(logits=torch.tensor(logit))
    width = min(1.0, 40 / abs(logit))
    # Around the mode, where all but e⁻⁴⁰ of the mass lies.
    low, high = (1 - width, 1.0) if logit > 0 else (0.0, width)
    mass, _ = quad(lambda x: math.exp(p.log_prob(torch.tensor(x)).item()), low, high, limit=200, epsabs=1e-4)
    assert mass == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_gradients_are_those_of_the_law(dtype):
    """d ln p/da = x − E[x], which torch's own loses beyond 16; dE[x]/da = Var[x]."""
    logits = torch.tensor(LOGITS, dtype=dtype, requires_grad=True)
    for x in (0.0, 0.3, 1.0):
        point = torch.full_like(logits, x)
        (gradient,) = torch.autograd.grad(ContinuousBernoulli(logits=logits).log_prob(point).sum(), logits)
        means = [float(exact_mean(mpmath.mpf(a))) for a in logits.tolist()]
        expected = point.detach().double() - torch.tensor(means, dtype=torch.float64)
        assert torch.allclose(gradient.double(), expected, rtol=0, atol=3 * TOLERANCE[dtype])
    p = ContinuousBernoulli(logits=logits)
    (gradient,) = torch.autograd.grad(p.mean.sum(), logits)
    assert torch.allclose(gradient, p.variance.detach(), rtol=10 * TOLERANCE[dtype], atol=3 * TOLERANCE[dtype])


def test_everything_has_a_finite_gradient():
    logits = torch.tensor(LOGITS, requires_grad=True)
    p = ContinuousBernoulli(logits=logits)
    values = [p.mean, p.variance, p.entropy(), p.cdf(torch.tensor(0.3)), p.icdf(torch.tensor(0.3)), p.rsample()]
    for value in values:
        (gradient,) = torch.autograd.grad(value.sum(), logits, retain_graph=True)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("logit", [-300.0, -3.0, 0.0, 0.2, 40.0])
def test_draws_follow_the_law(logit):
    p = ContinuousBernoulli(logits=torch.tensor(logit))
    draws = p.sample(torch.Size([4000])).double().numpy()
    exact = np.vectorize(lambda x: float(exact_cdf(mpmath.mpf(logit), mpmath.mpf(x))))
    assert stats.kstest(draws, exact).pvalue > 0.01


def test_a_draws_gradient_is_the_implicit_one():
    logit = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    p = ContinuousBernoulli(logits=logit)
    x = p.rsample(torch.Size([100]))
    found = torch.stack([torch.autograd.grad(one, logit, retain_graph=True)[0] for one in x])
    fixed = x.detach()
    cdf_gradient = torch.stack([torch.autograd.grad(p.cdf(one), logit, retain_graph=True)[0] for one in fixed])
    assert torch.allclose(found, -cdf_gradient / p.log_prob(fixed).exp(), atol=1e-12)


@pytest.mark.parametrize(("first", "second"), [(0.0, 3.0), (-40.0, 2.0), (100.0, 300.0), (5.0, 5.0)])
def test_kl_against_quadrature(first, second):
    p, q = (ContinuousBernoulli(logits=torch.tensor(a, dtype=torch.float64)) for a in (first, second))
    a, b = mpmath.mpf(first), mpmath.mpf(second)
    expected = mpmath.quad(
        lambda x: mpmath.exp(exact_log_prob(a, x)) * (exact_log_prob(a, x) - exact_log_prob(b, x)),
        [0, 0.1, 0.5, 0.9, 1],
    )
    assert kl_divergence(p, q).item() == pytest.approx(float(expected), rel=1e-10, abs=1e-12)


def test_it_is_torchs_where_that_one_is_exact():
    p, x = ContinuousBernoulli(0.05 + 0.4 * torch.rand(3, 4)), torch.rand(3, 4)
    theirs = TorchContinuousBernoulli(p.probs)
    assert torch.allclose(p.log_prob(x), theirs.log_prob(x), atol=1e-4)
    assert torch.allclose(p._cont_bern_log_norm(), theirs._cont_bern_log_norm(), atol=1e-4)
    wide = p.expand(torch.Size((2, 3, 4)))
    assert isinstance(wide, ContinuousBernoulli)
    assert torch.equal(wide.mean, p.mean.expand(2, 3, 4))


def test_values_outside_the_support_are_refused_where_asked():
    p = ContinuousBernoulli(logits=torch.zeros(2), validate_args=True)
    for method in (p.log_prob, p.cdf):
        with pytest.raises(ValueError, match="support"):
            method(torch.tensor(1.5))
