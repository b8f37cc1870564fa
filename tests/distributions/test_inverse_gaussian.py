"""The Inverse Gaussian against scipy, quadrature, closed-form moments and the gradient of its CDF."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from scipy.integrate import quad
from torch.distributions import kl_divergence

from vae_hydra.distributions import InverseGaussian, inverse_gaussian

EXTREMES = [(m, c) for m in (1e-3, 1.0, 1e3) for c in (1e-3, 1.0, 1e3)]
MODERATE = [(1.0, 1.0), (2.0, 0.5), (0.3, 4.0), (5.0, 20.0)]
DTYPES = [torch.float32, torch.float64]


def make(loc, concentration, dtype=torch.float64, **options):
    parameters = (torch.tensor(value, dtype=dtype, requires_grad=True) for value in (loc, concentration))
    return InverseGaussian(*parameters, **options)


def reference(loc, concentration):
    return scipy.stats.invgauss(loc / concentration, scale=concentration)


@pytest.mark.parametrize(("loc", "concentration"), EXTREMES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_draws_and_gradients_are_finite_and_positive(loc, concentration, dtype):
    distribution = make(loc, concentration, dtype)
    draws = distribution.rsample((100_000,))
    assert bool((draws > 0).all())
    gradients = torch.autograd.grad(draws.sum(), (distribution.loc, distribution.concentration))
    values = [draws, *gradients, distribution.log_prob(draws), distribution.cdf(draws), distribution.entropy()]
    assert all(bool(torch.isfinite(value).all()) for value in values)


@pytest.mark.parametrize(("loc", "concentration"), EXTREMES)
def test_draws_follow_the_distribution(loc, concentration):
    torch.manual_seed(1)
    draws = make(loc, concentration).sample((20_000,)).numpy()
    assert scipy.stats.kstest(draws, reference(loc, concentration).cdf).pvalue > 1e-3


@pytest.mark.parametrize(("loc", "concentration"), EXTREMES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-4), (torch.float64, 1e-9)])
def test_density_and_cdf_match_scipy(loc, concentration, dtype, tolerance):
    exact = reference(loc, concentration)
    points = exact.ppf([0.001, 0.1, 0.5, 0.9, 0.999])
    x = torch.tensor(points, dtype=dtype)
    distribution = make(loc, concentration, dtype)
    # Float32 rounds x itself: the density is compared at the rounded points.
    log_density = torch.from_numpy(exact.logpdf(x.double().numpy()))
    torch.testing.assert_close(distribution.log_prob(x).double(), log_density, rtol=tolerance, atol=10 * tolerance)
    expected = torch.from_numpy(exact.cdf(x.double().numpy()))
    torch.testing.assert_close(distribution.cdf(x).double(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("loc", "concentration"), EXTREMES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_moments_match_scipy(loc, concentration, dtype):
    distribution, exact = make(loc, concentration, dtype), reference(loc, concentration)
    assert distribution.mean.item() == pytest.approx(exact.mean(), rel=1e-6)
    assert distribution.variance.item() == pytest.approx(exact.var(), rel=1e-6)
    assert distribution.stddev.item() == pytest.approx(exact.std(), rel=1e-6)


@pytest.mark.parametrize(("loc", "concentration"), MODERATE)
def test_mode_is_where_the_density_is_greatest(loc, concentration):
    distribution = make(loc, concentration)
    around = distribution.mode.detach() * torch.linspace(0.9, 1.1, 2001, dtype=torch.float64)
    assert around[distribution.log_prob(around).argmax()].item() == pytest.approx(distribution.mode.item(), rel=1e-3)


@pytest.mark.parametrize(("loc", "concentration"), [*MODERATE, (1e3, 1e-3), (1e-3, 1e3), (1.0, 0.5)])
def test_entropy_matches_quadrature(loc, concentration):
    exact = reference(loc, concentration)

    def integrand(t: float) -> float:
        # In log x, where the density is smooth over many orders of magnitude.
        log_density = exact.logpdf(math.exp(t))
        return -math.exp(log_density + t) * log_density if log_density > -700 else 0.0

    low, high = (math.log(q) for q in exact.ppf([1e-12, 1 - 1e-12]))
    points = [math.log(q) for q in exact.ppf([0.01, 0.5, 0.99])]
    numeric, _ = quad(integrand, low - 1, high + 1, points=points, limit=500)
    assert make(loc, concentration).entropy().item() == pytest.approx(numeric, rel=1e-6, abs=1e-6)


def test_entropy_has_a_gradient():
    distribution = make(2.0, 1.5)
    torch.autograd.gradcheck(
        lambda m, c: InverseGaussian(m, c).entropy(), (distribution.loc, distribution.concentration)
    )


@pytest.mark.parametrize(("loc", "concentration"), EXTREMES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_implicit_gradient_is_minus_the_cdf_gradient_over_the_density(loc, concentration, dtype):
    # Each draw has its own copy of the parameters, so that one backward pass tells the gradients of all apart.
    distribution = make([loc] * 200, [concentration] * 200, dtype)
    draws = distribution.rsample()
    expected = make([loc] * 200, [concentration] * 200)
    at = draws.detach().double()
    for name in ("loc", "concentration"):
        parameter, exact_parameter = getattr(distribution, name), getattr(expected, name)
        (ours,) = torch.autograd.grad(draws.sum(), parameter, retain_graph=True)
        cdf = expected.cdf(at)
        (slope,) = torch.autograd.grad(cdf.sum(), exact_parameter)
        exact = -slope / expected.log_prob(at).exp()
        tolerance = 1e-6 if dtype == torch.float64 else 1e-3
        # Where the CDF is within rounding of 0 or 1 its numerical slope says nothing.
        tells = (cdf > 1e-6) & (cdf < 1 - 1e-6) & (at > 0)
        assert tells.sum() > 100
        scale = exact[tells].abs().max().item()
        torch.testing.assert_close(ours[tells].double(), exact[tells], rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize(("loc", "concentration"), MODERATE)
def test_gradients_of_moments_match_closed_forms(loc, concentration):
    torch.manual_seed(2)
    distribution = make(loc, concentration)
    moments = {
        "x": (lambda x: x, 1.0, 0.0),
        "x²": (lambda x: x**2, 2 * loc + 3 * loc**2 / concentration, -(loc**3) / concentration**2),
        "1/x": (lambda x: 1 / x, -1 / loc**2, -1 / concentration**2),
    }
    batches = [distribution.rsample((100_000,)) for _ in range(10)]
    for name, (function, *expected) in moments.items():
        parameters = (distribution.loc, distribution.concentration)
        estimates = torch.stack(
            [torch.stack(torch.autograd.grad(function(b).mean(), parameters, retain_graph=True)) for b in batches]
        )
        error = estimates.std(0) / len(batches) ** 0.5
        difference = (estimates.mean(0) - torch.tensor(expected)).abs()
        assert bool((difference < 4.5 * error + 1e-9).all()), (name, estimates.mean(0), expected)


def two_roots(loc, concentration, normal):
    """Both roots of the Michael–Schucany–Haas transformation; the first is accepted with probability μ/(μ + it)."""
    s = math.sqrt(1 + 4 * concentration / (loc * normal**2))
    small = loc * (s - 1) / (s + 1)
    return np.array([small, loc**2 / small])


def pathwise_slopes(loc, concentration, h=1e-6):
    """dE[x]/dμ and dE[x]/dλ by quadrature, when the choice of the root is held fixed in the derivative."""

    def slope(normal, by):
        up, down = (two_roots(*(np.array([loc, concentration]) + sign * by), normal) for sign in (1, -1))
        accepted = loc / (loc + two_roots(loc, concentration, normal)[0])
        weights = np.array([accepted, 1 - accepted])
        return 2 * scipy.stats.norm.pdf(normal) * (weights @ (up - down)) / (2 * h)

    return [quad(slope, 0, math.inf, (by,), epsabs=1e-8, limit=200)[0] for by in h * np.eye(2)]


@pytest.mark.parametrize(
    ("loc", "concentration", "published_bias"), [(1.0, 1.0, (1.1573, -0.1573)), (2.0, 0.5, (1.3443, -1.3773))]
)
def test_pathwise_gradient_has_the_published_bias(loc, concentration, published_bias):
    exact = pathwise_slopes(loc, concentration)
    assert exact == pytest.approx(published_bias, abs=5e-5)
    distribution = make(loc, concentration, gradient="pathwise")
    mean = distribution.rsample((4_000_000,)).mean()
    d_loc, d_concentration = torch.autograd.grad(mean, (distribution.loc, distribution.concentration))
    assert d_loc.item() == pytest.approx(exact[0], abs=0.01)
    assert d_concentration.item() == pytest.approx(exact[1], abs=0.03)


@pytest.mark.parametrize("p", MODERATE)
@pytest.mark.parametrize("q", MODERATE)
def test_kl_matches_quadrature(p, q):
    one, other = reference(*p), reference(*q)
    points = one.ppf([0.001, 0.5, 0.999])
    low, high = one.ppf([1e-14, 1 - 1e-14])
    numeric, _ = quad(lambda x: one.pdf(x) * (one.logpdf(x) - other.logpdf(x)), low, high, points=points, limit=500)
    assert kl_divergence(make(*p), make(*q)).item() == pytest.approx(numeric, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", EXTREMES)
def test_kl_is_finite_never_negative_and_zero_to_itself(p, dtype):
    for q in EXTREMES:
        value = kl_divergence(make(*p, dtype), make(*q, dtype))
        assert torch.isfinite(value)
        assert value >= 0
    assert kl_divergence(make(*p, dtype), make(*p, dtype)).item() == 0


@pytest.mark.parametrize("concentration", [1e-9, 1e-5, 0.6, 0.999, 1.001, 1e4, 1e7, 1e9])
@pytest.mark.parametrize("dtype", DTYPES)
def test_kl_of_concentrations_far_apart(concentration, dtype):
    p = make(1.0, concentration, dtype)
    value = kl_divergence(p, make(1.0, 1.0, dtype))
    u = 1 / p.concentration.item()
    assert value.item() == pytest.approx(0.5 * (u - 1 - math.log(u)), rel=1e-4, abs=1e-7)
    assert torch.isfinite(torch.autograd.grad(value, p.concentration)[0])


@pytest.mark.parametrize("loc", [1.0, 1e4, 1e6, 1e7, 1e8])
@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient_of_the_mean_of_any_loc(loc, dtype, monkeypatch):
    """dE[x]/dμ = 1, by quadrature over the two random numbers: a sample would need 1e9 draws at μ/λ = 1e7."""
    normal = torch.special.ndtri((torch.arange(1000, dtype=torch.float64) + 0.5) / 1000)
    minus_log = (torch.arange(900, dtype=torch.float64) + 0.5) / 20
    weight = torch.exp(-minus_log) / 20
    monkeypatch.setattr(torch, "randn_like", lambda like: normal[:, None].expand(like.shape).to(like))
    monkeypatch.setattr(inverse_gaussian, "_fine_uniform", lambda like: torch.exp(-minus_log).expand_as(like).to(like))
    distribution = make(loc, 1.0, dtype)
    x = distribution.rsample((1000, 900))
    mean = ((x / loc).double() * weight).sum(1).mean()
    slope = torch.autograd.grad(mean * loc, distribution.loc)[0]
    assert [mean.item(), slope.item()] == pytest.approx([1, 1], abs=2e-3)


def test_the_chance_of_a_root_has_small_values():
    torch.manual_seed(0)
    chance = inverse_gaussian._fine_uniform(torch.zeros(4_000_000))
    assert ((chance > 0) & (chance <= 1)).all()
    assert chance.double().mean().item() == pytest.approx(0.5, abs=1e-3)
    # A uniform number of single precision is a multiple of 2⁻²⁴.
    small = chance[chance < 2**-18].double() * 2**24
    assert (small != small.round()).double().mean() > 0.9


@pytest.mark.parametrize(("loc", "concentration"), [*MODERATE, *EXTREMES])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 5e-6), (torch.float64, 1e-12)])
def test_icdf_inverts_the_cdf(loc, concentration, dtype, tolerance):
    p = torch.tensor([1e-300, 1e-30, 1e-3, 0.5, 0.999, 1 - 1e-6], dtype=dtype)
    p = p[p > 0]
    x = make(loc, concentration, dtype).icdf(p)
    # The last digit of x is worth many of a probability where the density is narrow.
    worth = x.double() * make(loc, concentration).log_prob(x.double()).exp() * torch.finfo(dtype).eps
    found = make(loc, concentration).cdf(x.double())
    assert ((found - p.double()).abs() <= 8 * worth + tolerance * p.double()).all()


def test_icdf_at_its_ends_and_against_scipy():
    ends = make(2.0, 3.0).icdf(torch.tensor([0, 1], dtype=torch.float64))
    assert ends.tolist() == [0, math.inf]
    p = torch.tensor([1e-12, 0.01, 0.3, 0.9, 0.9999], dtype=torch.float64)
    for loc, concentration in MODERATE:
        expected = torch.from_numpy(reference(loc, concentration).ppf(p.numpy()))
        torch.testing.assert_close(make(loc, concentration).icdf(p).detach(), expected, rtol=1e-9, atol=0)


def test_first_and_second_implicit_gradients_are_those_of_the_quantile():
    """A draw is a quantile, and has the same derivatives."""
    values = [[0.5, 1.0, 3.0, 2.0], [0.7, 1.0, 0.2, 9.0], [0.1, 0.5, 0.9, 0.3]]
    inputs = tuple(torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in values)

    def icdf(loc, concentration, p):
        return InverseGaussian(loc, concentration, validate_args=False).icdf(p)

    torch.autograd.gradcheck(icdf, inputs, check_forward_ad=True)
    torch.autograd.gradgradcheck(icdf, inputs)


def test_second_gradient_of_the_mean_of_the_square():
    """d²E[x²]/dμ² = 2 + 6μ/λ, through draws."""
    torch.manual_seed(4)
    distribution = make(1.0, 3.0)
    mean = distribution.rsample((400_000,)).square().mean()
    first = torch.autograd.grad(mean, distribution.loc, create_graph=True)[0]
    assert torch.autograd.grad(first, distribution.loc)[0].item() == pytest.approx(2 + 6 / 3, rel=0.02)


def test_draws_go_through_torch_func():
    loc, concentration = torch.tensor([0.5, 1.0, 3.0]), torch.tensor([0.7, 1.0, 0.2])

    def total(loc):
        torch.manual_seed(5)
        return InverseGaussian(loc, concentration, validate_args=False).rsample().square().sum()

    leaf = loc.clone().requires_grad_()
    (expected,) = torch.autograd.grad(total(leaf), leaf)
    torch.testing.assert_close(torch.func.grad(total)(loc), expected)
    tangent = torch.ones_like(loc)
    torch.testing.assert_close(torch.func.jvp(total, (loc,), (tangent,))[1], expected.sum())
    hessian = torch.func.vmap(torch.func.grad(lambda at: torch.func.grad(total)(at).sum()), randomness="same")
    torch.testing.assert_close(hessian(loc.expand(2, 3))[0], hessian(loc.expand(2, 3))[1])


def test_cdf_keeps_small_values():
    x = torch.tensor(reference(1.0, 1.0).ppf(1e-40), dtype=torch.float64)
    assert make(1.0, 1.0).cdf(x).item() == pytest.approx(1e-40, rel=1e-9)


def test_cdf_reaches_its_ends():
    assert make(1.0, 1.0).cdf(torch.tensor([1e-300, torch.inf], dtype=torch.float64)).tolist() == [0, 1]


def test_shapes_broadcast_and_expand():
    distribution = InverseGaussian(torch.ones(3, 1), torch.ones(4), gradient="pathwise")
    assert distribution.batch_shape == (3, 4)
    assert distribution.rsample((5,)).shape == (5, 3, 4)
    wider = distribution.expand(torch.Size((2, 3, 4)))
    assert wider.rsample().shape == wider.entropy().shape == wider.mode.shape == (2, 3, 4)
    assert wider.gradient == "pathwise"


def test_leading_dimensions_draw_the_same_numbers():
    loc, concentration = torch.rand(2, 3, 4) + 0.5, torch.rand(2, 3, 4) + 0.5
    torch.manual_seed(3)
    nested = InverseGaussian(loc, concentration).rsample()
    torch.manual_seed(3)
    flat = InverseGaussian(loc.flatten(0, 1), concentration.flatten(0, 1)).rsample()
    torch.testing.assert_close(nested.flatten(0, 1), flat)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="loc"):
        InverseGaussian(-1.0, 1.0, validate_args=True)
    with pytest.raises(ValueError, match="support"):
        InverseGaussian(1.0, 1.0, validate_args=True).log_prob(torch.tensor(-1.0))
    with pytest.raises(ValueError, match="gradient must be one of implicit, pathwise, but got 'straight'"):
        InverseGaussian(1.0, 1.0, gradient="straight")
