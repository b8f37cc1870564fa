"""Radius and angle: densities against scipy and a change of variables, the tail index of what the model generates."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch.distributions import kl_divergence

from vae_hydra.distributions import RadiusAngle, RadiusLatents, log_density, parameters, with_parameters
from vae_hydra.distributions.tails import tail_shapes
from vae_hydra.model.likelihoods import GammaLikelihood
from vae_hydra.model.networks import MLPEncoder
from vae_hydra.model.priors import FlowPrior, LearnedPrior, MixturePrior
from vae_hydra.model.radius_angle import RadialDecoder, RadiusAngleLikelihood, RadiusAngleSampler
from vae_hydra.model.samplers import NormalSampler, VonMisesFisherSampler
from vae_hydra.model.vae import VAE
from vae_hydra.runs.build import build_experiment


def latents(alpha=2.5, beta=1.5):
    loc, scale = torch.tensor([0.5, -1.0]).double(), torch.tensor([0.3, 2.0]).double()
    return RadiusLatents(torch.tensor([alpha]).double(), torch.tensor([beta]).double(), loc, scale)


def test_latents_have_the_density_of_their_parts():
    q, z = latents(), torch.tensor([[0.7, 0.1, 0.2], [300.0, 0.5, -4.0]]).double()
    radius = scipy.stats.invgamma(2.5, scale=1.5).logpdf(z[:, 0])
    others = scipy.stats.norm([0.5, -1.0], [0.3, 2.0]).logpdf(z[:, 1:]).sum(-1)
    np.testing.assert_allclose(q.log_prob(z), radius + others, rtol=1e-6)
    unchecked = with_parameters(q, parameters(q))
    assert unchecked.log_prob(torch.tensor([-1.0, 0.0, 0.0]).double()) == -math.inf
    entropy = scipy.stats.invgamma(2.5, scale=1.5).entropy() + scipy.stats.norm([0.5, -1], [0.3, 2]).entropy().sum()
    assert q.entropy().item() == pytest.approx(entropy)


def test_latents_have_the_draws_and_moments_of_their_parts():
    torch.manual_seed(0)
    q, exact = latents(), scipy.stats.invgamma(2.5, scale=1.5)
    z = q.sample((5000,)).numpy()
    assert scipy.stats.kstest(z[:, 0], exact.cdf).pvalue > 0.005
    assert scipy.stats.kstest(z[:, 2], scipy.stats.norm(-1, 2).cdf).pvalue > 0.005
    np.testing.assert_allclose(q.mean, [exact.mean(), 0.5, -1])
    np.testing.assert_allclose(q.variance, [exact.var(), 0.09, 4])
    np.testing.assert_allclose(q.mode, [1.5 / 3.5, 0.5, -1])
    assert latents(0.9).mean[0] == latents(1.9).variance[0] == math.inf


def test_the_kl_of_latents_is_the_mean_log_ratio():
    torch.manual_seed(0)
    q, p = latents(), RadiusLatents(torch.tensor([2.0]), torch.tensor([2.0]), torch.zeros(2), torch.ones(2))
    z = q.sample((50_000,))
    ratio = q.log_prob(z) - p.log_prob(z)
    assert kl_divergence(q, p).item() == pytest.approx(ratio.mean().item(), abs=4.5 * ratio.std().item() / 50_000**0.5)
    assert kl_divergence(p, p).item() == pytest.approx(0, abs=1e-6)


def test_the_draw_of_a_radius_has_the_gradient_of_its_mean():
    """E[z₀] = β/(α − 1): dE/dβ = 1/(α − 1) and dE/dα = −β/(α − 1)²."""
    torch.manual_seed(0)
    alpha = torch.full((100_000, 1), 6.0, dtype=torch.float64, requires_grad=True)
    beta = torch.full((100_000, 1), 2.0, dtype=torch.float64, requires_grad=True)
    zero = torch.zeros(1).double()
    radius = RadiusLatents(alpha, beta, zero, zero + 1).rsample()[:, 0]
    for gradient, exact in zip(torch.autograd.grad(radius.sum(), (alpha, beta)), (-2 / 25, 1 / 5), strict=True):
        error = gradient.std().item() / math.sqrt(100_000)
        assert gradient.mean().item() == pytest.approx(exact, abs=4.5 * error)


def vectors():
    return RadiusAngle(
        torch.tensor([1.0, 2.0, 0.5]).double(), torch.tensor(2.5).double(), torch.tensor(7.0).double(), 1
    )


def test_vectors_have_the_density_of_radius_and_angle():
    """ln p(x) = ln p(r) + ln p(θ) − (D − 1)·ln r by scipy's densities."""
    x = torch.tensor([[0.3, 4.0, 0.1], [50.0, 60.0, 70.0]]).double()
    radius, mean = x.sum(-1).numpy(), np.array([1.0, 2.0, 0.5])
    gamma = scipy.stats.gamma(2.5, scale=3.5 / 2.5).logpdf(radius)
    dirichlet = [scipy.stats.dirichlet(7 * mean / 3.5).logpdf(row / row.sum()) for row in x.numpy()]
    np.testing.assert_allclose(vectors().log_prob(x).sum(-1), gamma + dirichlet - 2 * np.log(radius), rtol=1e-6)


def test_the_density_of_vectors_is_that_of_independent_gammas_where_these_are_radius_and_angle():
    """xᵢ ~ Gamma(aᵢ, b) are independent, their sum is Gamma(Σa, b) and their shares are Dirichlet(a)."""
    a, b = np.array([0.7, 2.0, 1.3]), 3.0
    p = RadiusAngle(torch.from_numpy(a / b), torch.tensor(a.sum()), torch.tensor(a.sum()), 1)
    x = torch.tensor([[0.2, 0.5, 1.5], [3.0, 0.1, 0.4]]).double()
    np.testing.assert_allclose(p.log_prob(x).sum(-1), scipy.stats.gamma(a, scale=1 / b).logpdf(x).sum(-1), rtol=1e-9)


def test_vectors_have_the_moments_of_their_draws():
    torch.manual_seed(0)
    p = vectors()
    x = p.sample((100_000,))
    error = p.variance.sqrt() / math.sqrt(100_000)
    assert ((x.mean(0) - p.mean).abs() < 4.5 * error).all()
    torch.testing.assert_close(x.var(0), p.variance, rtol=0.05, atol=0)
    torch.testing.assert_close(x.sum(-1).var(), torch.tensor(3.5**2 / 2.5).double(), rtol=0.05, atol=0)


@pytest.mark.parametrize("lead", [(), (5,), (2, 3)])
def test_shapes_and_parameters(lead):
    torch.manual_seed(0)
    sampler, likelihood = RadiusAngleSampler(3), RadiusAngleLikelihood(x_shape=[4])
    q = sampler(torch.randn(*lead, sampler.feature_count(3)))
    assert (q.batch_shape, q.event_shape) == (lead, (3,))
    z = q.rsample()
    assert sampler.kl_divergence(q, z).shape == (*lead, 1)
    assert log_density(q, q.rsample((7,))).shape == (7, *lead)
    assert sampler.code(q).isfinite().all()
    again = sampler.posterior({name: value.detach() for name, value in parameters(q).items()})
    torch.testing.assert_close(again.log_prob(z), q.log_prob(z))
    p = likelihood(torch.randn(*lead, 4), z)
    assert p.batch_shape == p.sample().shape == p.log_prob(p.sample()).shape == p.variance.shape == (*lead, 4)
    torch.testing.assert_close(with_parameters(p, parameters(p)).mean, p.mean)


def test_images_are_split_like_vectors_of_their_values():
    torch.manual_seed(0)
    loc, x = torch.rand(5, 2, 3, 4) + 0.1, torch.rand(5, 2, 3, 4)
    image = RadiusAngle(loc, torch.tensor(2.0), torch.tensor(9.0), 3)
    vector = RadiusAngle(loc.flatten(1), torch.tensor(2.0), torch.tensor(9.0), 1)
    torch.testing.assert_close(image.log_prob(x).flatten(1), vector.log_prob(x.flatten(1)))
    torch.testing.assert_close(image.variance.flatten(1), vector.variance)
    assert image.sample((2,)).shape == (2, 5, 2, 3, 4)


@pytest.mark.parametrize("alpha", [1.5, 3.0])
def test_generated_sums_have_the_tail_index_of_the_prior(alpha):
    """Hill's estimate of 1/α from the largest 0.2 % of 500,000 sums is within five of its standard errors."""
    torch.manual_seed(0)
    encoder, decoder = MLPEncoder([3], 8, [8]), RadialDecoder(4, [3], [16])
    vae = VAE(encoder, RadiusAngleSampler(4, tail_index=alpha), decoder, RadiusAngleLikelihood(x_shape=[3]), 4, [3])
    with torch.no_grad():
        sums = vae.decode(vae.prior_sample(500_000)).sample().sum(-1)
    k = 1000
    hill = tail_shapes(sums, torch.tensor([k]))["hill"][0].item()
    assert hill == pytest.approx(1 / alpha, abs=5 / alpha / math.sqrt(k))


def test_a_decoder_of_the_unbounded_radius_cannot_keep_the_tail():
    """What the bound is for: exp of a linear function of z₀ has no tail index at all."""
    decoder = RadialDecoder(2, [3], [8])
    far = decoder(torch.tensor([[1e30, 0.5], [math.inf, 0.5]]))
    torch.testing.assert_close(far[0], far[1])


@pytest.mark.parametrize("prior", [LearnedPrior, MixturePrior, FlowPrior])
def test_trained_priors_of_the_latents(prior):
    torch.manual_seed(0)
    sampler = RadiusAngleSampler(3)
    p = prior(start=sampler.prior(), latent_dim=3)(None)
    assert p.event_shape == (3,)
    z = p.sample((50,))
    assert z.shape == (50, 3)
    assert (z[:, 0] > 0).all()
    assert p.log_prob(z).isfinite().all()


def test_a_learned_prior_finds_the_tail_index():
    torch.manual_seed(0)
    data = latents(3.0, 2.0).sample((5000,)).float()
    prior = LearnedPrior(start=RadiusAngleSampler(3).prior(), latent_dim=3)
    optimizer = torch.optim.Adam(prior.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        (-prior(None).log_prob(data).mean()).backward()
        optimizer.step()
    alpha, _, beta = scipy.stats.invgamma.fit(data[:, 0].double().numpy(), floc=0)
    assert prior(None).concentration.item() == pytest.approx(alpha, rel=0.01)
    assert prior(None).rate.item() == pytest.approx(beta, rel=0.01)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sampler=normal"], "likelihood=radius_angle takes the first latent as a radius > 0; use sampler=radius_ang"),
        (["sampler=normal", "likelihood=gamma", "model=mlp_radial"], "model=mlp_radial takes the first latent as a"),
        (["sampler=radius_angle", "dataset=student_t_mixture", "dataset.dimensions=2"], "needs data > 0"),
        (["sampler=radius_angle", "dataset=student_t_mixture"], "is for examples of two positive values or more"),
        (["sampler=radius_angle", "model.latent_dim=1"], "sampler=radius_angle must be an integer ≥ 2"),
    ],
)
def test_parts_that_do_not_fit_are_refused(configure, overrides, message):
    config = configure("dataset=copula", "likelihood=radius_angle", *overrides)
    with pytest.raises(ValueError, match=message):
        build_experiment(config)


@pytest.mark.parametrize("prior", ["learned", "mixture", "flow"])
def test_priors_in_space_are_refused_on_a_sphere(configure, prior):
    with pytest.raises(ValueError, match=f"prior={prior} has no density on the sphere"):
        build_experiment(configure("sampler=von_mises_fisher", f"prior={prior}"))
    assert VonMisesFisherSampler.on_sphere
    assert not NormalSampler.on_sphere


@pytest.mark.parametrize("sampler", ["inverse_gaussian", "lognormal"])
def test_other_positive_latents_may_be_the_radius(configure, sampler):
    config = configure("dataset=copula", "model=mlp_radial", "likelihood=radius_angle", f"sampler={sampler}")
    assert isinstance(build_experiment(config).module.vae.likelihood, RadiusAngleLikelihood)


def test_the_radius_may_meet_another_likelihood(configure):
    config = configure("dataset=copula", "model=mlp_radial", "likelihood=gamma", "sampler=radius_angle")
    assert isinstance(build_experiment(config).module.vae.likelihood, GammaLikelihood)
