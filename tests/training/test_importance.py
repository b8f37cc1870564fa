"""Bounds from several draws: closed forms, unbiased gradients, and what they cost in noise."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal

from tests.support.composing import options
from tests.support.slowly import rest_slow
from vae_hydra.data.noise import Noise
from vae_hydra.model.likelihoods import GaussianLikelihood
from vae_hydra.model.samplers import NormalSampler
from vae_hydra.model.vae import VAE
from vae_hydra.runs.build import build_experiment, build_module
from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import train
from vae_hydra.training.importance import CombinedBounds, ImportanceWeighted, importance_weighted_loss
from vae_hydra.training.objective import Objective, Pass

FAMILIES = [name for name in options("sampler") if name != "deterministic"]
# Those whose parameters are all features of the encoder.
OF_FEATURES = [name for name in FAMILIES if name != "flow"]


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


def loss_by(objective: Objective, vae: VAE, x: torch.Tensor = X, seed: int = 0) -> torch.Tensor:
    """The loss of each example with draws of the seed, at β = 1."""
    torch.manual_seed(seed)
    output = vae(x)
    log_likelihood, kl = vae.log_likelihood(output, x), vae.kl_divergence(output.q, output.z)
    return objective(vae, Pass(x, None, output, log_likelihood, kl), 1.0)


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


def exact_elbo(vae: VAE, beta: float = 1.0) -> torch.Tensor:
    """ln N(x; 2m, 0.5²) − 4s²/(2·0.5²), with q = N(m, s²), less β times the KL."""
    q = vae.encode(X)
    kl = vae.sampler.kl_divergence(q, q.mean).squeeze(-1)
    reconstruction = Normal(2 * q.mean, 0.5).log_prob(X) - 4 * q.variance / (2 * 0.25)
    return reconstruction.squeeze(-1) - beta * kl


def assert_estimates(estimates: torch.Tensor, expected: torch.Tensor) -> None:
    """Estimates [N, 3] have the expected means [3], within 5 standard errors."""
    errors = estimates.std(0) / math.sqrt(len(estimates))
    assert ((estimates.mean(0) - expected).abs() < 5 * errors).all()


@pytest.mark.parametrize("beta", [1.0, 0.0])
def test_one_draw_is_the_elbo(beta):
    vae = linear_gaussian()
    with torch.no_grad():
        assert_estimates(-loss_of(vae, 1, beta=beta, x=repeated(20_000)).reshape(-1, 3), exact_elbo(vae, beta))


@pytest.mark.parametrize("doubly", [False, True])
def test_one_group_is_the_bound_of_all_its_draws(doubly):
    vae = linear_gaussian()
    torch.manual_seed(0)
    vae(X)
    expected = importance_weighted_loss(vae, vae.encode(X), X, None, 6, 1.0, doubly)
    assert torch.equal(loss_by(ImportanceWeighted(draws=6, doubly=doubly), vae), expected)
    assert torch.equal(loss_by(ImportanceWeighted(draws=6, groups=1, doubly=doubly), vae), expected)


def test_groups_are_a_mean_of_bounds():
    """Its expectation is that of one bound, its variance that over the number of groups."""
    vae, x = linear_gaussian(), repeated(4000)
    with torch.no_grad():
        one = loss_by(ImportanceWeighted(draws=2), vae, x, seed=1).reshape(-1, 3)
        many = loss_by(ImportanceWeighted(draws=2, groups=8), vae, x).reshape(-1, 3)
    errors = (one.var(0) / len(one) + many.var(0) / len(many)).sqrt()
    assert ((one.mean(0) - many.mean(0)).abs() < 5 * errors).all()
    torch.testing.assert_close(one.var(0) / many.var(0), torch.full((3,), 8.0), rtol=0.3, atol=0)


def test_the_ends_of_a_combined_bound():
    vae = linear_gaussian()
    assert torch.equal(loss_by(CombinedBounds(5, 0.0), vae), loss_by(ImportanceWeighted(5), vae))
    with torch.no_grad():
        elbo = -loss_by(CombinedBounds(5, 1.0), vae, repeated(10_000)).reshape(-1, 3)
        assert_estimates(elbo, exact_elbo(vae))
    middle = loss_by(CombinedBounds(5, 0.3), vae)
    ends = loss_by(CombinedBounds(5, 0.0), vae), loss_by(CombinedBounds(5, 1.0), vae)
    torch.testing.assert_close(middle, 0.7 * ends[0] + 0.3 * ends[1])
    assert (ends[0] <= ends[1]).all()


def gradients(
    module, x, y, draws: int, doubly: bool, repeats: int, beta: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of encoder and decoder, [repeats, parameters], each from draws of its own."""
    vae, found = module.vae, ([], [])
    for _ in range(repeats):
        vae.zero_grad()
        importance_weighted_loss(vae, vae.encode(x, y), x, y, draws, beta, doubly).mean().backward()
        for part, network in zip(found, (vae.encoder, vae.decoder), strict=True):
            part.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
    return torch.stack(found[0]), torch.stack(found[1])


SMALL = ("dataset=lognormal_2d", "model.latent_dim=2", "model.encoder.widths=[4]", "model.decoder.widths=[4]")


def test_weights_of_a_sampler_have_no_doubly_reparameterised_gradient(configure):
    with pytest.raises(ValueError, match="this sampler has weights of its own; use objective=iwae"):
        build_experiment(configure("sampler=flow", "objective=dreg"))


@pytest.mark.parametrize("family", rest_slow(OF_FEATURES))
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
        encoder, _ = gradients(module, x, y, 3, doubly, 300)
        directions = torch.randn(encoder.shape[1], 20, generator=torch.Generator().manual_seed(1)).double()
        projected = encoder @ directions
        means.append(projected.mean(0))
        errors.append(projected.std(0) / math.sqrt(len(projected)))
    difference = (means[0] - means[1]).abs() / (errors[0].square() + errors[1].square()).sqrt()
    assert difference.max() < 5, difference


@pytest.mark.parametrize("beta", [0.0, 0.5, 4.0])
def test_both_gradients_have_the_same_mean_at_any_weight_of_the_log_ratio(beta):
    """In a linear Gaussian model, from 20,000 bounds of 8 draws at each of three x."""
    found = {}
    for doubly in (False, True):
        torch.manual_seed(0)
        vae, per_draw = linear_gaussian(), []
        for _ in range(400):
            vae.zero_grad()
            loss_of(vae, 8, doubly, beta, x=repeated(50)).mean().backward()
            per_draw.append(torch.stack([vae.encoder.slope.grad, vae.encoder.log_variance.grad]))
        values = torch.stack(per_draw)
        found[doubly] = values.mean(0), values.std(0) / math.sqrt(len(values))
    (usual, error), (doubly, other) = found[False], found[True]
    assert ((usual - doubly).abs() < 4 * (error.square() + other.square()).sqrt()).all(), (usual, doubly, error, other)
    # Closer to each other than a gradient is to 0.
    assert (usual.abs() > 20 * error).any()


def signal_to_noise(draws: int, doubly: bool, groups: int = 1) -> float:
    vae, objective = linear_gaussian(slope=0.5, log_variance=-1.0), ImportanceWeighted(draws, groups, doubly)
    found = []
    for seed in range(600):
        vae.zero_grad()
        loss_by(objective, vae, seed=seed).mean().backward()
        found.append(vae.encoder.slope.grad.clone())
    values = torch.stack(found)
    return (values.mean().abs() / values.std()).item()


@pytest.mark.slow
def test_the_doubly_reparameterised_gradient_gets_clearer_with_draws_and_the_other_does_not():
    single = [signal_to_noise(draws, doubly=False) for draws in (1, 64)]
    double = [signal_to_noise(draws, doubly=True) for draws in (1, 64)]
    assert single[1] < 0.7 * single[0]
    assert double[1] > 1.5 * double[0]
    assert double[1] > 5 * single[1]


def test_the_same_draws_in_groups_have_a_clearer_gradient():
    assert signal_to_noise(4, doubly=False, groups=16) > 2 * signal_to_noise(64, doubly=False)


def test_the_decoder_has_the_same_gradient_with_either(configure):
    module, data = build_experiment(configure(*SMALL, "dataset.fraction=0.01"))
    batch = data.prepared("train", 8)
    found = []
    for doubly in (False, True):
        torch.manual_seed(0)
        found.append(gradients(module, batch.x, batch.y, 5, doubly, 1)[1])
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize(
    ("objective", "family"),
    rest_slow([*(("iwae", family) for family in FAMILIES), *(("dreg", family) for family in OF_FEATURES)]),
)
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
    ("objective", "family"),
    [
        *itertools.product(["miwae", "ciwae", "beta_divergence"], FAMILIES),
        *(("miwae objective.doubly=true", family) for family in OF_FEATURES),
    ],
)
def test_every_family_has_a_gradient(objective, family, configure):
    choice, *options = objective.split()
    # A linear map of heavy-tailed x makes a radius beyond single precision.
    compressed = ["model.encoder.compress=true"] if family == "radius_angle" else []
    config = configure(
        f"sampler={family}", f"objective={choice}", *options, *SMALL, "dataset.fraction=0.01", *compressed
    )
    module, data = build_experiment(config)
    batch = data.prepared("train", 16)
    terms, _ = module._step(batch.x, batch.x, 0.5, batch.y)
    assert terms["loss"].shape == (16,)
    terms["loss"].mean().backward()
    gradients = [parameter.grad for parameter in module.vae.parameters()]
    assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["objective.draws=0"], "objective.draws must be an integer ≥ 1"),
        (["objective=miwae", "objective.groups=0"], "objective.groups must be an integer ≥ 1"),
        (["objective=miwae", "objective.doubly=2"], "objective.doubly must be true or false"),
        (["objective=ciwae", "objective.elbo_weight=2"], r"objective.elbo_weight must be a number in \[0, 1\]"),
        (["+objective.free_bits=0.5"], "objective=iwae takes draws, groups, doubly and not free_bits"),
        (["objective=ciwae", "experiment=heavy_tailed/mnist"], "objective=ciwae takes .* and not kl_reduction, norm"),
        (["objective=elbo", "+objective.draws=4"], "takes kl_reduction, normalise, free_bits and not draws"),
    ],
)
def test_what_does_not_fit_is_refused(overrides, message, configure):
    config = configure("objective=iwae", *overrides) if "objective=" not in overrides[0] else configure(*overrides)
    with pytest.raises(ValueError, match=message):
        build_module(config, linear_gaussian(), Noise("none"), {}, [])


@pytest.mark.parametrize("objective", ["iwae", "dreg", "miwae", "ciwae"])
def test_points_have_no_density(objective, configure):
    with pytest.raises(ValueError, match="a deterministic sampler lacks; use objective=elbo"):
        build_experiment(configure("sampler=deterministic", f"objective={objective}"))
