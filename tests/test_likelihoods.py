"""Likelihoods against scipy, quadrature and each other."""

from __future__ import annotations

import math

import pytest
import scipy.stats
import torch
from scipy.integrate import quad
from torch.nn.functional import binary_cross_entropy_with_logits

from vae_hydra.likelihoods import (
    BernoulliLikelihood,
    ContinuousBernoulliLikelihood,
    GaussianLikelihood,
    LaplaceLikelihood,
)

ALL = [GaussianLikelihood, LaplaceLikelihood, BernoulliLikelihood, ContinuousBernoulliLikelihood]


def test_gaussian_with_scale_one_is_half_sse_and_a_constant():
    features, x = torch.randn(3, 20), torch.randn(3, 20)
    log_likelihood = GaussianLikelihood(1.0)(features).log_prob(x).sum(-1)
    expected = -0.5 * ((features - x) ** 2).sum(-1) - 10 * math.log(2 * math.pi)
    torch.testing.assert_close(log_likelihood, expected)


@pytest.mark.parametrize(
    ("likelihood", "exact"), [(GaussianLikelihood, scipy.stats.norm), (LaplaceLikelihood, scipy.stats.laplace)]
)
def test_location_scale_densities_match_scipy(likelihood, exact):
    p = likelihood(0.3)(torch.tensor([0.5, -1.0]))
    expected = torch.tensor(exact([0.5, -1.0], 0.3).logpdf([0.1, 2.0]), dtype=torch.float32)
    torch.testing.assert_close(p.log_prob(torch.tensor([0.1, 2.0])), expected)


@pytest.mark.parametrize("likelihood", [GaussianLikelihood, LaplaceLikelihood])
def test_learned_scale_is_a_parameter_that_finds_the_spread(likelihood):
    model = likelihood(1.0, learn_scale=True)
    assert [name for name, _ in model.named_parameters()] == ["log_scale"]
    assert not list(likelihood(1.0).parameters())
    x = 0.05 * torch.randn(2000)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        (-model(torch.zeros(2000)).log_prob(x).mean()).backward()
        optimizer.step()
    best = x.std() if likelihood is GaussianLikelihood else x.abs().mean()
    assert model.log_scale.exp().item() == pytest.approx(best.item(), rel=0.02)


def test_sigmoid_location_keeps_the_mean_inside():
    mean = GaussianLikelihood(location="sigmoid")(torch.tensor([-50.0, 0.0, 50.0])).mean
    torch.testing.assert_close(mean, torch.tensor([0.0, 0.5, 1.0]))


def test_bernoulli_is_the_binary_cross_entropy_also_between_zero_and_one():
    logits, x = torch.randn(50), torch.rand(50)
    p = BernoulliLikelihood()(logits)
    torch.testing.assert_close(p.log_prob(x), -binary_cross_entropy_with_logits(logits, x, reduction="none"))
    torch.testing.assert_close(p.mean, logits.sigmoid())


@pytest.mark.parametrize("logit", [-3.0, -1e-3, 0.0, 0.5, 4.0])
def test_continuous_bernoulli_integrates_to_one_and_has_its_mean(logit):
    p = ContinuousBernoulliLikelihood()(torch.tensor(logit, dtype=torch.float64))

    def density(x: float) -> float:
        return p.log_prob(torch.tensor(x, dtype=torch.float64)).exp().item()

    # Around logit 0 torch replaces the normaliser by a series that is good to about 1e-5.
    assert quad(density, 0, 1)[0] == pytest.approx(1, abs=2e-5)
    assert quad(lambda x: x * density(x), 0, 1)[0] == pytest.approx(p.mean.item(), abs=2e-5)


@pytest.mark.parametrize("likelihood", ALL)
def test_leading_dimensions_give_the_same_numbers(likelihood):
    features, x = torch.randn(2, 3, 1, 4, 4), torch.rand(2, 3, 1, 4, 4)
    model = likelihood()
    nested = model(features).log_prob(x)
    assert nested.shape == x.shape
    torch.testing.assert_close(nested.flatten(0, 1), model(features.flatten(0, 1)).log_prob(x.flatten(0, 1)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianLikelihood(0.0), "likelihood.scale must be a number > 0, but got 0.0"),
        (lambda: LaplaceLikelihood(-1), "likelihood.scale"),
        (lambda: GaussianLikelihood(learn_scale="yes"), "likelihood.learn_scale must be true or false, but got 'yes'"),
        (lambda: GaussianLikelihood(location="tanh"), "likelihood.location must be one of identity, sigmoid"),
    ],
)
def test_bad_options_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
