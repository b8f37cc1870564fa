"""Bounds from several draws: closed forms, unbiased gradients, and what they cost in noise."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal

from tests.support.composing import options
from vae_hydra.model.likelihoods import GaussianLikelihood
from vae_hydra.model.samplers import NormalSampler
from vae_hydra.model.vae import VAE
from vae_hydra.runs.build import build_experiment
from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import train
from vae_hydra.training.importance import importance_weighted_loss
from vae_hydra.training.objective import Objective

FAMILIES = [name for name in options("sampler") if name != "deterministic"]


class Linear(nn.Module):
    """x ↦ constant + slope·x."""

    def __init__(self, constant: float, slope: float) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.tensor(constant))
        self.slope = nn.Parameter(torch.tensor(slope))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.constant + self.slope * x


class Encoder(nn.Module):
    """Mean slope·x, and a log-variance."""

    def __init__(self, slope: float, log_variance: float) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))
        self.log_variance = nn.Parameter(torch.tensor(log_variance))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.slope * x, self.log_variance.expand_as(x)], -1)


def linear_gaussian(slope: float = 0.7, log_variance: float = -0.5) -> VAE:
    """z ~ N(0, 1), x|z ~ N(2z, 0.5²): log p(x) is that of N(0, 4.25), and q is close to the posterior."""
    sampler = NormalSampler(Normal(0.0, 1.0), positive="half_exp")
    likelihood = GaussianLikelihood(x_shape=(1,), scale=0.5)
    return VAE(Encoder(slope, log_variance), sampler, Linear(0.0, 2.0), likelihood, latent_dim=1, x_shape=(1,))


X = torch.tensor([[0.3], [-2.0], [1.5]])
LOG_EVIDENCE = Normal(0.0, math.sqrt(4.25)).log_prob(X).squeeze(-1)


def loss_of(vae: VAE, draws: int, doubly: bool = False, beta: float = 1.0, x: torch.Tensor = X) -> torch.Tensor:
    return importance_weighted_loss(vae, vae.encode(x), x, None, draws, beta, doubly)


def repeated(count: int) -> torch.Tensor:
    return X.repeat(count, 1)


@pytest.mark.parametrize("doubly", [False, True])
def test_the_bound_rises_to_the_evidence(doubly):
    vae = linear_gaussian()
    with torch.no_grad():
        bounds = [-loss_of(vae, draws, doubly, x=repeated(4000)).reshape(-1, 3).mean(0) for draws in (1, 4, 64)]
    assert (bounds[0] < bounds[1]).all()
    assert (bounds[1] < bounds[2]).all()
    torch.testing.assert_close(bounds[2], LOG_EVIDENCE, atol=0.02, rtol=0)


@pytest.mark.parametrize("beta", [1.0, 0.0])
def test_one_draw_is_the_elbo(beta):
    """E log p(x|z) = ln N(x; 2m, 0.5²) − 4s²/(2·0.5²), with q = N(m, s²), less β times the KL."""
    vae = linear_gaussian()
    with torch.no_grad():
        q = vae.encode(X)
        kl = vae.sampler.kl_divergence(q, q.mean).squeeze(-1)
        reconstruction = Normal(2 * q.mean, 0.5).log_prob(X) - 4 * q.variance / (2 * 0.25)
        estimates = -loss_of(vae, 1, beta=beta, x=repeated(20_000)).reshape(-1, 3)
    errors = estimates.std(0) / math.sqrt(len(estimates))
    assert ((estimates.mean(0) - reconstruction.squeeze(-1) + beta * kl).abs() < 5 * errors).all()


def gradients(module, x, y, draws: int, doubly: bool, repeats: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of encoder and decoder, [repeats, parameters], each from draws of its own."""
    vae, found = module.vae, ([], [])
    for _ in range(repeats):
        vae.zero_grad()
        importance_weighted_loss(vae, vae.encode(x, y), x, y, draws, 1.0, doubly).mean().backward()
        for part, network in zip(found, (vae.encoder, vae.decoder), strict=True):
            part.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
    return torch.stack(found[0]), torch.stack(found[1])


SMALL = ("dataset=lognormal_2d", "model.latent_dim=2", "model.encoder.widths=[4]", "model.decoder.widths=[4]")


@pytest.mark.parametrize("family", FAMILIES)
def test_both_gradients_have_the_same_mean(family, configure):
    """A z test for each parameter of 20 directions, at 5 standard errors."""
    module, data = build_experiment(
        configure(f"sampler={family}", *SMALL, "likelihood.scale=2", "dataset.fraction=0.01")
    )
    module.double()
    batch = data.prepared("train", 8)
    x, y = batch.x.double(), batch.y
    means, errors = [], []
    for doubly in (False, True):
        torch.manual_seed(0)
        encoder, _ = gradients(module, x, y, 3, doubly, 1500)
        directions = torch.randn(encoder.shape[1], 20, generator=torch.Generator().manual_seed(1)).double()
        projected = encoder @ directions
        means.append(projected.mean(0))
        errors.append(projected.std(0) / math.sqrt(len(projected)))
    difference = (means[0] - means[1]).abs() / (errors[0].square() + errors[1].square()).sqrt()
    assert difference.max() < 5, difference


def signal_to_noise(draws: int, doubly: bool) -> float:
    vae = linear_gaussian(slope=0.5, log_variance=-1.0)
    found = []
    for _ in range(600):
        vae.zero_grad()
        loss_of(vae, draws, doubly).mean().backward()
        found.append(vae.encoder.slope.grad.clone())
    values = torch.stack(found)
    return (values.mean().abs() / values.std()).item()


def test_the_doubly_reparameterised_gradient_gets_clearer_with_draws_and_the_other_does_not():
    single = [signal_to_noise(draws, doubly=False) for draws in (1, 64)]
    double = [signal_to_noise(draws, doubly=True) for draws in (1, 64)]
    assert single[1] < 0.7 * single[0]
    assert double[1] > 1.5 * double[0]
    assert double[1] > 5 * single[1]


def test_the_decoder_has_the_same_gradient_with_either(configure):
    module, data = build_experiment(configure(*SMALL, "dataset.fraction=0.01"))
    batch = data.prepared("train", 8)
    found = []
    for doubly in (False, True):
        torch.manual_seed(0)
        found.append(gradients(module, batch.x, batch.y, 5, doubly, 1)[1])
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize("objective", ["iwae", "dreg"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_trained_and_scored_as_before(objective, family, configure):
    choice = (f"sampler={family}", f"objective={objective}", "objective.draws=3", "test_noises=null")
    config = configure(*choice, "dataset.fraction=0.2", "trainer.max_epochs=1")
    metrics = train(config)
    assert Run.of(config).is_done
    elbo, loss = (metrics[f"reconstruct/clean/{name}"] for name in ("elbo", "loss"))
    assert metrics["reconstruct/clean/log_likelihood"] - metrics["reconstruct/clean/kl"] == pytest.approx(elbo)
    # Three draws bound the evidence more closely than the ELBO does.
    assert -loss > elbo - 0.02 * abs(elbo)


@pytest.mark.parametrize(
    "overrides", [("condition=both",), ("model=conv", "model.channels=[4]"), ("likelihood=bernoulli",)]
)
def test_bounds_cross_with_other_parts(overrides, configure):
    config = configure(
        *overrides, "objective=dreg", "objective.draws=2", "dataset.fraction=0.1", "trainer.max_epochs=1"
    )
    assert math.isfinite(train(config)["reconstruct/clean/loss"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bound": "cubo"}, "objective.bound must be one of elbo, iwae, dreg"),
        ({"draws": 4}, "objective.draws=4 needs objective=iwae or dreg"),
        ({"bound": "iwae", "draws": 0}, "objective.draws must be an integer ≥ 1"),
        (
            {"bound": "dreg", "free_bits": 0.5},
            "objective=dreg takes neither kl_reduction=mean, normalise nor free_bits",
        ),
        ({"bound": "iwae", "kl_reduction": "mean"}, "objective=iwae takes neither"),
    ],
)
def test_what_does_not_fit_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        Objective(**given)


def test_points_have_no_density(configure):
    with pytest.raises(ValueError, match="a deterministic sampler lacks; use objective=elbo"):
        build_experiment(configure("sampler=deterministic", "objective=iwae"))
