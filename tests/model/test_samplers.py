"""Samplers: their posterior, their KL, their maps to positive numbers, in any leading dimensions."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch.distributions import Gamma, LogNormal, Normal

from tests.support.reference import frozen, kl_by_quadrature
from tests.support.samplers import PROBABILISTIC, SAMPLERS
from vae_hydra.distributions import InverseGaussian, StudentT, Weibull, parameters
from vae_hydra.model.samplers import (
    POSITIVE_MAPS,
    InverseGaussianSampler,
    NormalSampler,
    StudentTSampler,
    WeibullSampler,
    elu_plus_one,
)


def features_of(sampler, first=0.3, second=0.7, dtype=torch.float64):
    """Features of one latent; the third makes enough degrees of freedom for the moments below."""
    features = [first, second, 9.0][: sampler.parameters_per_latent]
    return torch.tensor(features, dtype=dtype, requires_grad=True)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_posterior_comes_back_from_its_parameters_without_an_encoder(name):
    make, prior, family = SAMPLERS[name]
    sampler = make(prior)
    q = sampler(torch.randn(4, sampler.parameters_per_latent * 3))
    again = sampler.posterior(parameters(q))
    assert isinstance(again, family)
    assert torch.equal(again.log_prob(sampler.code(q)), q.log_prob(sampler.code(q)))


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
    assert sampler.prior().sample((7, 3)).shape == (7, 3)


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
    q = sampler(features_of(sampler, 0.3, -0.7))
    expected = kl_by_quadrature(frozen(q), frozen(prior))
    assert sampler.kl_divergence(q, q.sample()).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", PROBABILISTIC)
def test_draws_follow_the_posterior(name):
    make, prior, _ = SAMPLERS[name]
    sampler = make(prior)
    q = sampler(features_of(sampler, dtype=torch.float32))
    draws = q.sample((20_000,)).flatten().double().numpy()
    assert stats.kstest(draws, frozen(q).cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", PROBABILISTIC)
def test_gradients_of_moments_match_closed_forms(name):
    make, prior, _ = SAMPLERS[name]
    sampler = make(prior).double()
    features = features_of(sampler, 0.6, 1.2)
    q = sampler(features)
    batches = [q.rsample((25_000,)) for _ in range(40)]
    moments = {1: q.mean, 2: q.variance + q.mean.square()}
    for power, moment in moments.items():
        (expected,) = torch.autograd.grad(moment, features, retain_graph=True)
        means = (batch.pow(power).mean() for batch in batches)
        estimates = torch.stack([torch.autograd.grad(mean, features, retain_graph=True)[0] for mean in means])
        error = estimates.std(0) / len(batches) ** 0.5
        assert bool(((estimates.mean(0) - expected).abs() < 4.5 * error + 1e-9).all()), (power, expected)


EXTREMES = [name for name in PROBABILISTIC if name != "lognormal"]  # exp(30 + 30·ε) is beyond single precision


@pytest.mark.parametrize("name", EXTREMES)
@pytest.mark.parametrize("kl", ["closed", "monte_carlo"])
def test_extreme_features_leave_losses_and_gradients_finite(name, kl):
    make, prior, family = SAMPLERS[name]
    sampler = make(prior, kl=kl)
    # All corners of [−30, 30] and what is between.
    axes = [torch.linspace(-30, 30, 13)] * sampler.parameters_per_latent
    features = torch.cartesian_prod(*axes).repeat(50, 1).requires_grad_()
    q = sampler(features)
    z = q.rsample()
    if family in (Gamma, Weibull, InverseGaussian):
        assert (z > 0).all()
    value = sampler.kl_divergence(q, z)
    assert value.isfinite().all()
    assert torch.autograd.grad(value.sum() + z.sum(), features)[0].isfinite().all()


@pytest.mark.parametrize("name", PROBABILISTIC)
def test_monte_carlo_kl_agrees_with_the_closed_form(name):
    make, prior, _ = SAMPLERS[name]
    sampler, estimate = make(prior), make(prior, kl="monte_carlo")
    q = sampler(features_of(sampler, dtype=torch.float32).detach()).expand(torch.Size((400_000, 1)))
    draws = estimate.kl_divergence(q, q.sample())
    error = draws.std() / len(draws) ** 0.5
    assert abs(draws.mean() - sampler.kl_divergence(q, q.mean).mean()) < 4.5 * error


def test_kl_of_a_pair_without_closed_form_names_the_pair_and_the_way_out():
    sampler = NormalSampler(LogNormal(0.0, 1.0))
    q = sampler(torch.zeros(4))
    with pytest.raises(ValueError, match=r"KL\(Normal ‖ LogNormal\) .* sampler.kl=monte_carlo"):
        sampler.kl_divergence(q, q.mean)


def test_the_code_is_the_mean_where_the_family_has_one():
    for name, (make, prior, _) in SAMPLERS.items():
        sampler = make(prior)
        q = sampler(torch.randn(5, sampler.parameters_per_latent * 3))
        torch.testing.assert_close(sampler.code(q), q.loc if name.startswith("student_t") else q.mean)
    heavy = StudentTSampler(Normal(0.0, 1.0), df=0.5)
    assert heavy.code(heavy(torch.tensor([0.3, 1.0]))).item() == pytest.approx(0.3)


def test_degrees_of_freedom_are_given_or_predicted():
    prior = StudentT(5.0, 0.0, 1.0)
    assert StudentTSampler(prior, df=3.0)(torch.zeros(4)).df.item() == 3
    sampler = StudentTSampler(prior, positive="exp", learn_df=True, min_df=2.5)
    q = sampler(torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, math.log(2)]))
    torch.testing.assert_close(q.df, torch.tensor([3.5, 4.5]))
    with pytest.raises(ValueError, match=r"KL\(StudentT ‖ StudentT\) .* sampler.kl=monte_carlo"):
        sampler.kl_divergence(q, q.mean)


def test_weibull_concentration_has_a_minimum():
    q = WeibullSampler(Weibull(1.0, 1.0), min_concentration=0.5)(torch.tensor([0.0, -100.0]))
    assert q.concentration.item() == pytest.approx(0.5, abs=1e-5)


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
        (lambda: StudentTSampler(Normal(0.0, 1.0), df=0), "sampler.df must be a number > 0, but got 0"),
        (lambda: StudentTSampler(Normal(0.0, 1.0), min_df=-1), "sampler.min_df must be a number ≥ 0, but got -1"),
        (lambda: StudentTSampler(Normal(0.0, 1.0), learn_df=1), "sampler.learn_df must be true or false, but got 1"),
        (lambda: WeibullSampler(Weibull(1.0, 1.0), min_concentration=0), "sampler.min_concentration must be"),
    ],
)
def test_bad_options_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
