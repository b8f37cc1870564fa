"""The β-divergence: its limit, its minimum, and the weight of outliers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Normal

from vae_hydra.model.likelihoods import (
    BernoulliLikelihood,
    ContinuousBernoulliLikelihood,
    GaussianLikelihood,
    LaplaceLikelihood,
    Likelihood,
    LogCoshLikelihood,
    StudentTLikelihood,
)
from vae_hydra.model.samplers import NormalSampler
from vae_hydra.model.vae import VAE, VAEOutput
from vae_hydra.runs.build import build_experiment
from vae_hydra.training.beta_divergence import BetaDivergence
from vae_hydra.training.objective import ELBO, Pass

KL = torch.tensor([[0.3, 0.1], [0.2, 0.0]], dtype=torch.float64)
LIKELIHOODS = {
    "gaussian": GaussianLikelihood(0.5, x_shape=(3,)),
    "laplace": LaplaceLikelihood(0.5, x_shape=(3,)),
    "student_t": StudentTLikelihood(0.5, x_shape=(3,)),
    "log_cosh": LogCoshLikelihood(0.5, x_shape=(3,)),
    "bernoulli": BernoulliLikelihood((3,)),
    "continuous_bernoulli": ContinuousBernoulliLikelihood((3,)),
}


def model(likelihood: Likelihood) -> VAE:
    shape = likelihood.x_shape
    return VAE(nn.Identity(), NormalSampler(Normal(0.0, 1.0)), nn.Identity(), likelihood, 2, shape).double()


def loss(objective: ELBO, likelihood: Likelihood, features: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The loss of examples x [2, D] at β = 0.7, for decoder features of this shape."""
    vae, p = model(likelihood), likelihood(features)
    output = VAEOutput(None, None, p)
    return objective(vae, Pass(x, None, output, vae.log_likelihood(output, x), KL[: len(x)]), 0.7)


@pytest.mark.parametrize("name", LIKELIHOODS)
@pytest.mark.parametrize("options", [{}, {"kl_reduction": "mean", "normalise": True, "free_bits": 0.2}])
def test_without_robustness_it_is_the_elbo(name, options):
    features, x = torch.randn(2, 3).double(), torch.rand(2, 3).double()
    robust = loss(BetaDivergence(1e-8, **options), LIKELIHOODS[name], features, x)
    torch.testing.assert_close(robust, loss(ELBO(**options), LIKELIHOODS[name], features, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("robustness", [0.1, 1.0])
@pytest.mark.parametrize("name", ["gaussian", "laplace", "student_t", "log_cosh"])
def test_the_true_scale_has_the_least_loss(name, robustness):
    """E over p(x; s = 0.5), by quadrature, has no slope in s there: the integral has its proper weight."""
    t = torch.linspace(-25, 25, 40_001, dtype=torch.float64)
    x = t.sinh() / 1000
    features = torch.zeros_like(x)[:, None]
    family = type(LIKELIHOODS[name])
    density = family(0.5, x_shape=(1,)).double()(features).log_prob(x[:, None]).exp().squeeze(1)
    weight = density * t.cosh() / 1000 * (t[1] - t[0])
    learned = family(0.5, learn_scale=True, x_shape=(1,)).double()
    vae, p = model(learned), learned(features)
    output = VAEOutput(None, None, p)
    terms = Pass(x[:, None], None, output, vae.log_likelihood(output, x[:, None]), torch.zeros(len(x), 1))
    expected = (weight * BetaDivergence(robustness)(vae, terms, 1.0)).sum()
    (slope,) = torch.autograd.grad(expected, learned.log_excess)
    assert weight.sum().item() == pytest.approx(1, abs=1e-6)
    assert abs(slope.item()) < 1e-5


def test_of_contaminated_values_it_finds_the_centre_of_the_others():
    x = torch.cat([torch.linspace(-1, 1, 90), torch.full((10,), 20.0)]).double()[:, None]
    centres = torch.linspace(-2, 4, 601).double()

    def best(objective: ELBO) -> float:
        losses = [loss_of_centre(objective, centre, x).mean() for centre in centres]
        return centres[int(torch.stack(losses).argmin())].item()

    assert best(ELBO()) == pytest.approx(2.0, abs=0.01)  # the mean
    assert best(BetaDivergence(0.5)) == pytest.approx(0.0, abs=0.01)


def loss_of_centre(objective: ELBO, centre: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    likelihood = GaussianLikelihood(1.0, x_shape=(1,))
    vae = model(likelihood)
    output = VAEOutput(None, None, likelihood(centre.expand(len(x), 1)))
    terms = Pass(x, None, output, vae.log_likelihood(output, x), torch.zeros(len(x), 1))
    return objective(vae, terms, 1.0)


def test_the_bernoulli_loss_is_the_published_one():
    """(1 + r) times −(1/r)·(∏[x·π^r + (1 − x)·(1 − π)^r] − 1) + ∏[π^(1 + r) + (1 − π)^(1 + r)]/(1 + r), less 1."""
    r, x = 0.3, np.array([[0.0, 1.0, 0.25], [1.0, 1.0, 0.5]])
    probs = np.array([[0.2, 0.7, 0.5], [0.9, 0.1, 0.3]])
    product = (x * probs**r + (1 - x) * (1 - probs) ** r).prod(1)
    integral = (probs ** (1 + r) + (1 - probs) ** (1 + r)).prod(1)
    published = -(product - 1) / r + integral / (1 + r)
    features = Bernoulli(probs=torch.from_numpy(probs)).logits
    found = loss(BetaDivergence(r), LIKELIHOODS["bernoulli"], features, torch.from_numpy(x)) - 0.7 * KL.sum(-1)
    assert found.tolist() == pytest.approx((1 + r) * published - 1)


@pytest.mark.parametrize("likelihood", ["huber", "multivariate_t"])
def test_a_likelihood_without_the_integral_is_refused(likelihood, configure):
    with pytest.raises(
        ValueError, match="objective=beta_divergence: no closed form .* use likelihood=gaussian, laplace"
    ):
        build_experiment(configure(f"likelihood={likelihood}", "objective=beta_divergence"))


def test_options_out_of_range_are_refused():
    with pytest.raises(ValueError, match="objective.robustness must be a number > 0, but got 0"):
        BetaDivergence(0)
