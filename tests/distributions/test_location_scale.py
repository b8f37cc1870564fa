"""The symmetric families against scipy, quadrature and the losses they stand for."""

from __future__ import annotations

import math
from itertools import pairwise

import mpmath
import pytest
import scipy.stats
import torch
from scipy.integrate import quad
from torch.distributions import Normal
from torch.nn.functional import huber_loss

from tests.support.reference import frozen
from vae_hydra.distributions import FixedDistribution, Huber, HyperbolicSecant, StudentT

THRESHOLDS = [0.2, 1.345, 4.0]
FAMILIES = {
    "huber": lambda *p: Huber(*p, torch.tensor(1.345, dtype=torch.float64)),
    "hyperbolic_secant": HyperbolicSecant,
    "student_t": lambda *p: StudentT(torch.tensor(5.0, dtype=torch.float64), *p),
}
LOC, SCALE = 0.7, 1.8
GRID = torch.linspace(-30, 30, 2001, dtype=torch.float64)


def double(*values):
    return [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in values]


def make(name):
    return FAMILIES[name](*double(LOC, SCALE))


def integral(q, function):
    """E[function(x)] by quadrature, in pieces that end where a density of these may have a kink."""
    kinks = [LOC + SCALE * u for u in (-60, -20, -4, -1.345, -0.2, 0, 0.2, 1.345, 4, 20, 60)]

    def integrand(x):
        return function(x) * q.log_prob(torch.tensor(x, dtype=torch.float64)).exp().item()

    return sum(quad(integrand, low, high)[0] for low, high in pairwise(kinks))


@pytest.mark.parametrize("q", [HyperbolicSecant(*double(LOC, SCALE)), StudentT(*double(5.0, LOC, SCALE))])
def test_density_moments_and_entropy_match_scipy(q):
    exact = frozen(q)
    torch.testing.assert_close(q.log_prob(GRID).detach(), torch.from_numpy(exact.logpdf(GRID.numpy())))
    assert q.mean.item() == q.mode.item() == LOC
    assert q.variance.item() == pytest.approx(exact.var())
    assert q.entropy().item() == pytest.approx(exact.entropy())


@pytest.mark.parametrize("df", [0.5, 1.0, 1.5, 2.0, 39.0, 41.0, 1e3, 1e6])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 3e-6), (torch.float64, 1e-10)])
def test_student_t_of_any_df(df, dtype, tolerance):
    q = StudentT(torch.tensor(df, dtype=dtype), 0.0, 1.0)
    exact = scipy.stats.t(df)
    x = torch.linspace(-5, 5, 11, dtype=dtype)
    expected = torch.from_numpy(exact.logpdf(x.double().numpy()))
    torch.testing.assert_close(q.log_prob(x).double(), expected, rtol=tolerance, atol=tolerance)
    assert q.entropy().item() == pytest.approx(exact.entropy(), rel=tolerance)
    moments = torch.stack([q.mean, q.variance]).double()
    given = [0.0 if df > 1 else math.nan, exact.var() if df > 1 else math.nan]
    torch.testing.assert_close(moments, torch.tensor(given, dtype=torch.float64), equal_nan=True)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_huber_is_a_density_with_its_variance_and_cdf(threshold):
    q = Huber(*double(LOC, SCALE, threshold))
    assert integral(q, lambda x: 1.0) == pytest.approx(1, abs=1e-5)
    assert integral(q, lambda x: x) == pytest.approx(q.mean.item(), abs=1e-4)
    if threshold > 1:
        assert integral(q, lambda x: (x - LOC) ** 2) == pytest.approx(q.variance.item(), rel=1e-7)
    for x in (-3.0, -0.5, 0.5, 0.7, 2.0, 9.0):
        inside, _ = quad(lambda v: q.log_prob(torch.tensor(v, dtype=torch.float64)).exp().item(), LOC, x, limit=200)
        assert q.cdf(torch.tensor(x, dtype=torch.float64)).item() == pytest.approx(0.5 + inside, abs=1e-8)


@pytest.mark.parametrize("threshold", [*THRESHOLDS, 1e-4, 40.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_entropy_of_huber_matches_quadrature(threshold, dtype):
    q = Huber(torch.tensor(LOC, dtype=dtype), torch.tensor(SCALE, dtype=dtype), threshold)
    exact = Huber(*double(0.0, 1.0, threshold))

    def integrand(u):
        log_density = exact.log_prob(torch.tensor(u, dtype=torch.float64)).item()
        return -2 * log_density * math.exp(log_density)

    pieces = pairwise([0, threshold, threshold + 40 / threshold] if threshold < 30 else [0, 30])
    numeric = sum(quad(integrand, low, high, limit=200)[0] for low, high in pieces)
    assert q.entropy().item() == pytest.approx(numeric + math.log(SCALE), rel=1e-6)
    assert q.expand(torch.Size((2, 3))).entropy().shape == (2, 3)


def test_huber_of_a_threshold_far_out_has_the_cdf_of_a_normal():
    q, p = Huber(*double(0.0, 1.0, 12.0)), torch.tensor([1e-20, 1e-10, 0.3], dtype=torch.float64)
    torch.testing.assert_close(q.icdf(p).detach(), torch.special.ndtri(p), rtol=1e-6, atol=0)
    torch.testing.assert_close(q.cdf(q.icdf(p)).detach(), p, rtol=1e-6, atol=0)


@pytest.mark.parametrize("df", [0.3, 1.0, 4.0, 1e3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_student_t_cdf_and_icdf_match_scipy(df, dtype):
    q = StudentT(torch.tensor(df, dtype=dtype), 1.0, 2.0)
    exact = frozen(q)
    x = torch.tensor([-1e6, -30.0, 0.5, 1.0, 8.0], dtype=dtype)
    torch.testing.assert_close(q.cdf(x), torch.from_numpy(exact.cdf(x.double().numpy())).to(dtype))
    p = torch.tensor([1e-6, 0.2, 0.5, 0.99], dtype=dtype)
    torch.testing.assert_close(q.icdf(p), torch.from_numpy(exact.ppf(p.double().numpy())).to(dtype))


def test_student_t_cdf_and_icdf_have_the_gradients_they_can_have():
    df = torch.tensor(4.0, dtype=torch.float64)
    loc, scale, x, p = double(0.5, 1.5, 2.0, 0.3)
    for inputs in ((loc, scale, x), (loc, scale, p)):
        method = "cdf" if inputs[2] is x else "icdf"

        def value(loc, scale, at, method=method):
            return getattr(StudentT(df, loc, scale, validate_args=False), method)(at)

        torch.autograd.gradcheck(value, inputs)
        torch.autograd.gradgradcheck(value, inputs)
        learned = StudentT(df.clone().requires_grad_(), loc, scale)
        with pytest.raises(NotImplementedError, match=f"StudentT.{method} has no gradient by df"):
            getattr(learned, method)(inputs[2]).backward()


@pytest.mark.parametrize("df", [1e-30, 1e-24, 1e-19, 1e-10, 1e-4, 1.0, 1e4])
@pytest.mark.parametrize("u", [0.0, 1e-3, 1.0, 1e3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_student_t_gradient_by_any_df(df, u, dtype):
    nu = torch.tensor(df, dtype=dtype, requires_grad=True)
    (found,) = torch.autograd.grad(StudentT(nu).log_prob(torch.tensor(u, dtype=dtype)), nu)
    with mpmath.workdps(60):
        v, square = mpmath.mpf(nu.item()), mpmath.mpf(torch.tensor(u, dtype=dtype).item()) ** 2
        steps = (mpmath.digamma((v + 1) / 2) - mpmath.digamma(v / 2)) / 2 - 1 / (2 * v)
        exact = steps - mpmath.log1p(square / v) / 2 + (v + 1) * square / (2 * v * (v + square))
    # Its terms are of the size of 1/ν, or of u²/ν for large ν.
    size = float(1 / v + min(square, v) / v + mpmath.log1p(square / v))
    assert found.item() == pytest.approx(float(exact), abs=20 * torch.finfo(dtype).eps * size)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_huber_is_hubers_loss_and_a_constant(threshold):
    q = Huber(torch.zeros(2001, dtype=torch.float64), 1.0, threshold)
    loss = huber_loss(GRID, torch.zeros_like(GRID), reduction="none", delta=threshold)
    torch.testing.assert_close(-q.log_prob(GRID) + q.log_prob(q.mode), loss)


def test_huber_is_a_normal_between_thresholds_far_out():
    torch.testing.assert_close(
        Huber(0.0, 2.0, 40.0).log_prob(torch.linspace(-5, 5, 11)), Normal(0.0, 2.0).log_prob(torch.linspace(-5, 5, 11))
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_icdf_inverts_the_cdf_which_integrates_the_density(name):
    q = make(name)
    p = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    torch.testing.assert_close(q.cdf(q.icdf(p)), p)
    x = torch.linspace(-8, 9, 100, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(torch.autograd.grad(q.cdf(x).sum(), x)[0], q.log_prob(x).exp())
    if name != "huber":
        torch.testing.assert_close(q.cdf(x).detach(), torch.from_numpy(frozen(q).cdf(x.detach().numpy())))


@pytest.mark.parametrize("name", FAMILIES)
def test_draws_follow_the_distribution(name):
    q = make(name)
    exact = (lambda x: q.cdf(torch.from_numpy(x)).detach().numpy()) if name == "huber" else frozen(q).cdf
    assert scipy.stats.kstest(q.sample((50_000,)).numpy(), exact).pvalue > 1e-3


@pytest.mark.parametrize("df", [0.3, 1.0, 2.5, 30.0, 1e4])
def test_student_t_draws_of_any_df_follow_it(df):
    draws = StudentT(torch.tensor(df), 0.0, 1.0).sample((50_000,))
    assert scipy.stats.kstest(draws.double().numpy(), scipy.stats.t(df).cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_out_values_have_finite_densities_and_gradients(name, dtype):
    q = FAMILIES[name](torch.tensor(0.0, dtype=dtype), torch.tensor(1.0, dtype=dtype))
    u = torch.tensor([-1e4, -1.345, 0.0, 1.345, 1e4], dtype=dtype, requires_grad=True)
    values = q.log_prob(u)
    assert values.isfinite().all()
    assert torch.autograd.grad(values.sum(), u)[0].isfinite().all()
    draws = q.rsample((1_000_000,))
    assert draws.isfinite().all()


@pytest.mark.parametrize("name", FAMILIES)
def test_shapes_broadcast_expand_and_rebuild(name):
    q = FAMILIES[name](torch.zeros(3, 1), torch.ones(4))
    assert q.batch_shape == q.mean.shape == q.mode.shape == q.variance.shape == (3, 4)
    assert q.rsample((5,)).shape == (5, 3, 4)
    wider = q.expand(torch.Size((2, 3, 4)))
    assert type(wider) is type(q)
    assert wider.rsample().shape == wider.mean.shape == wider.log_prob(torch.zeros(4)).shape == (2, 3, 4)
    x = torch.tensor([0.3])
    torch.testing.assert_close(FixedDistribution(make(name))().log_prob(x).double(), make(name).log_prob(x).double())


def test_bad_parameters_and_values_are_refused():
    with pytest.raises(ValueError, match="threshold"):
        Huber(0.0, 1.0, -1.0, validate_args=True)
    with pytest.raises(ValueError, match="scale"):
        HyperbolicSecant(0.0, 0.0, validate_args=True)
    with pytest.raises(ValueError, match="df"):
        StudentT(0.0, validate_args=True)
    for ask in ("log_prob", "cdf"):
        with pytest.raises(ValueError, match="support"):
            getattr(HyperbolicSecant(0.0, 1.0, validate_args=True), ask)(torch.tensor(math.nan))
