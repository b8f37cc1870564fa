"""The bound on log p(x) against a linear Gaussian model, whose log p(x) is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.distributions import LogNormal, MultivariateNormal

from tests.support.device import OPENED_ON
from tests.support.linear_model import COLUMNS, OFFSET, SCALE, D, L, exact_log_density, linear_model
from vae_hydra.analysis.evaluation import evaluate
from vae_hydra.analysis.marginal_likelihood import importance_weighted_bound
from vae_hydra.model.likelihoods import GaussianLikelihood
from vae_hydra.model.samplers import LogNormalSampler
from vae_hydra.model.vae import VAE
from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import train


@pytest.fixture
def x():
    return MultivariateNormal(OFFSET, COLUMNS @ COLUMNS.T + SCALE**2 * torch.eye(D, dtype=torch.float64)).sample((40,))


# All draws at once; three at a time and one in the last chunk; one at a time if not even one fits.
@torch.no_grad()
@pytest.mark.parametrize(("samples", "max_values"), [(1, 2**24), (7, 2**24), (7, 40 * D * 3), (7, 1)])
def test_one_draw_from_the_exact_posterior_is_enough_in_any_chunks(samples, max_values, x):
    bound = importance_weighted_bound(linear_model(exact=True), x, x, samples, max_values=max_values)
    torch.testing.assert_close(bound, exact_log_density(x), rtol=1e-4, atol=1e-3)


@torch.no_grad()
def test_the_bound_rises_to_the_log_density_with_more_draws(x):
    vae = linear_model(exact=False)
    gaps = [
        (exact_log_density(x) - importance_weighted_bound(vae, x, x, k)).mean().item() for k in (1, 10, 100, 20_000)
    ]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 3
    assert abs(gaps[-1]) < 0.02


BINARY = ("likelihood=bernoulli", "dataset.binarise=static")
BRIEF = ("trainer.max_epochs=1", "dataset.fraction=0.1", "test_noises=null")


def nll(configure, *overrides, samples=50):
    config = configure(*overrides)
    train(config)
    request = (f"run={Run.of(config).folder}", OPENED_ON, f"nll.samples={samples}")
    return evaluate(configure(*request, name="evaluate"))


def test_evaluate_reports_it_in_nats_and_below_the_negative_elbo(configure):
    scores = nll(configure, *BINARY, "trainer.max_epochs=10")
    assert 0 < scores["marginal/nll"] < -scores["reconstruct/clean/elbo"]
    assert 0 < scores["marginal/nll_standard_error"] < 2
    again = nll(configure, *BINARY, "trainer.max_epochs=10")
    assert again["marginal/nll"] == scores["marginal/nll"]


def test_uniform_guesses_cost_ln_2_a_pixel(configure):
    # An untrained decoder gives each of 64 pixels a probability of about ½: one bit each.
    scores = nll(configure, *BRIEF, *BINARY, "optimizer.lr=1e-9", samples=5)
    assert scores["marginal/nll"] == pytest.approx(64 * math.log(2), rel=0.02)


@pytest.mark.parametrize(
    "overrides",
    [
        ("likelihood=continuous_bernoulli",),
        ("likelihood=student_t", "sampler=lognormal"),
        ("dataset=lognormal_2d", "sampler=inverse_gaussian", "+trainer.limit_train_batches=2"),
        ("sampler=student_t", "condition=both", *BINARY),
        ("sampler=gamma", "likelihood=huber", "noise=normal", "noise.mode=stacked"),
    ],
)
def test_it_is_finite_for_every_kind_of_density(overrides, configure):
    scores = nll(configure, *BRIEF, *overrides, samples=20)
    # The bound rises with the number of draws, from the ELBO of one.
    assert math.isfinite(scores["reconstruct/clean/elbo"])
    assert scores["marginal/nll"] < -scores["reconstruct/clean/elbo"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("likelihood=bernoulli",), "BernoulliLikelihood is not a normalised density .* dataset.binarise=static"),
        (("sampler=deterministic",), "sampler=deterministic has no posterior density"),
    ],
)
def test_a_likelihood_or_posterior_without_a_density_is_refused(overrides, message, configure):
    with pytest.raises(ValueError, match=message):
        nll(configure, *BRIEF, *overrides, samples=3)


def test_a_bad_number_of_samples_is_refused(configure):
    with pytest.raises(ValueError, match="nll.samples must be an integer ≥ 0, but got -1"):
        nll(configure, *BRIEF, *BINARY, samples=-1)


def test_draws_beyond_the_precision_only_lower_the_bound():
    """About half of this LogNormal's draws overflow, and have the weight ∞ − ∞."""
    encoder, decoder = nn.Linear(D, 2 * L), nn.Linear(L, D)
    with torch.no_grad():
        encoder.weight.zero_()
        encoder.bias.copy_(torch.tensor([0.0] * L + [12.0] * L))
    vae = VAE(
        encoder, LogNormalSampler(LogNormal(0.0, 1.0), positive="half_exp"), decoder, GaussianLikelihood(), L, (D,)
    )
    x = torch.zeros(4, D)
    bound = importance_weighted_bound(vae.eval(), x, x, samples=64)
    assert not bound.isnan().any()
    assert bound.isfinite().any()
