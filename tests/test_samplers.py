"""Samplers: their posterior, their KL, their maps to positive numbers, in any leading dimensions."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from scipy.integrate import quad
from torch.distributions import LogNormal, Normal

from vae_hydra.distributions import Delta, InverseGaussian
from vae_hydra.samplers import (
    POSITIVE_MAPS,
    DeterministicSampler,
    InverseGaussianSampler,
    LogNormalSampler,
    NormalSampler,
    elu_plus_one,
)

SAMPLERS = {
    "normal": (NormalSampler, Normal(0.0, 1.0), Normal),
    "lognormal": (LogNormalSampler, LogNormal(0.0, 1.0), LogNormal),
    "inverse_gaussian": (InverseGaussianSampler, InverseGaussian(1.0, 1.0), InverseGaussian),
    "deterministic": (DeterministicSampler, Normal(0.0, 1.0), Delta),
}
PROBABILISTIC = [name for name in SAMPLERS if name != "deterministic"]


def frozen(q):
    """The scipy distribution of a scalar torch one."""
    if isinstance(q, InverseGaussian):
        return stats.invgauss(q.loc.item() / q.concentration.item(), scale=q.concentration.item())
    if isinstance(q, LogNormal):
        return stats.lognorm(q.scale.item(), scale=math.exp(q.loc.item()))
    return stats.norm(q.loc.item(), q.scale.item())


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("lead", [(), (5,), (2, 3, 4)])
def test_posterior_has_the_shape_and_family_it_should(name, lead):
    make, prior, family = SAMPLERS[name]
    sampler = make(prior)
    q = sampler(torch.randn(*lead, sampler.parameters_per_latent * 3))
    assert isinstance(q, family)
    assert q.batch_shape == (*lead, 3)
    z = q.rsample()
    assert sampler.kl_divergence(q, z).shape == z.shape == (*lead, 3)
    assert sampler.prior_sample((7, 3)).shape == (7, 3)


@pytest.mark.parametrize("name", SAMPLERS)
def test_leading_dimensions_give_the_same_numbers(name):
    make, prior, _ = SAMPLERS[name]
    sampler = make(prior)
    features = torch.randn(2, 3, sampler.parameters_per_latent * 4)
    results = []
    for given in (features, features.flatten(0, 1)):
        torch.manual_seed(5)
        q = sampler(given)
        z = q.rsample()
        results.append((z.reshape(6, 4), sampler.kl_divergence(q, z).reshape(6, 4)))
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("name", PROBABILISTIC)
def test_kl_matches_quadrature(name):
    make, prior, _ = SAMPLERS[name]
    sampler = make(prior).double()
    q = sampler(torch.tensor([0.3, -0.7], dtype=torch.float64))
    one, other = frozen(q), frozen(prior)
    low, high = one.ppf([1e-13, 1 - 1e-13])
    numeric, _ = quad(
        lambda x: one.pdf(x) * (one.logpdf(x) - other.logpdf(x)), low, high, points=one.ppf([0.01, 0.99]), limit=300
    )
    assert sampler.kl_divergence(q, q.sample()).item() == pytest.approx(numeric, rel=1e-6)


@pytest.mark.parametrize("name", PROBABILISTIC)
def test_monte_carlo_kl_agrees_with_the_closed_form(name):
    make, prior, _ = SAMPLERS[name]
    sampler, estimate = make(prior), make(prior, kl="monte_carlo")
    q = sampler(torch.tensor([0.3, 0.7])).expand(torch.Size((400_000, 1)))
    draws = estimate.kl_divergence(q, q.sample())
    error = draws.std() / len(draws) ** 0.5
    assert abs(draws.mean() - sampler.kl_divergence(q, q.mean).mean()) < 4.5 * error


def test_kl_of_a_pair_without_closed_form_names_the_pair_and_the_way_out():
    sampler = NormalSampler(LogNormal(0.0, 1.0))
    q = sampler(torch.zeros(4))
    with pytest.raises(ValueError, match=r"KL\(Normal ‖ LogNormal\) .* sampler.kl=monte_carlo"):
        sampler.kl_divergence(q, q.mean)


def test_half_exp_is_a_log_variance():
    q = NormalSampler(Normal(0.0, 1.0), positive="half_exp")(torch.tensor([0.0, math.log(4.0)]))
    assert q.variance.item() == pytest.approx(4.0, rel=1e-5)


@pytest.mark.parametrize("name", POSITIVE_MAPS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_positive_maps_stay_positive_with_finite_gradients(name, dtype):
    sampler = InverseGaussianSampler(InverseGaussian(1.0, 1.0), positive=name)
    a = torch.linspace(-200, 80, 1000, dtype=dtype, requires_grad=True)
    values = sampler.positive(a)
    assert (values > 0).all()
    assert torch.isfinite(values).all()
    assert torch.isfinite(torch.autograd.grad(values.sum(), a)[0]).all()


def test_elu_plus_one_is_elu_plus_one():
    a = torch.linspace(-10, 10, 101, dtype=torch.float64)
    torch.testing.assert_close(elu_plus_one(a), torch.nn.functional.elu(a) + 1)


def test_gradient_option_reaches_the_distribution():
    sampler = InverseGaussianSampler(InverseGaussian(1.0, 1.0), gradient="pathwise")
    assert sampler(torch.zeros(2)).gradient == "pathwise"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NormalSampler(Normal(0.0, 1.0), positive="square"), "sampler.positive must be one of softplus, exp"),
        (lambda: NormalSampler(Normal(0.0, 1.0), kl="exact"), "sampler.kl must be one of closed, monte_carlo"),
        (lambda: NormalSampler("Normal"), "expected a torch.distributions.Distribution"),
        (lambda: InverseGaussianSampler(InverseGaussian(1.0, 1.0), gradient="x"), "gradient must be one of"),
    ],
)
def test_bad_options_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
