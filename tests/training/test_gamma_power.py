"""t³VAE's objective: the γ-power divergence by quadrature, its limit, and the model around it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch.distributions import Normal, kl_divergence

import vae_hydra
from tests.support.composing import composed
from tests.support.device import OPENED_ON
from vae_hydra.analysis.evaluation import evaluate
from vae_hydra.model.multivariate_t import MultivariateTLikelihood, MultivariateTSampler, alternative_prior
from vae_hydra.model.stacking import stack_models
from vae_hydra.model.vae import VAE, VAEOutput
from vae_hydra.runs.build import build_experiment
from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import train
from vae_hydra.training.gamma_power import GammaPower, regulariser
from vae_hydra.training.objective import Pass

T3VAE = ("objective=gamma_power", "sampler=multivariate_t", "likelihood=multivariate_t")
SMALL = ("dataset=lognormal_2d", "dataset.fraction=0.01", "model.latent_dim=2", "model.encoder.widths=[8]")


def number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def power_divergence(log_q: np.ndarray, log_p: np.ndarray, weight: np.ndarray, gamma: float) -> float:
    """−(1/γ)·[∫ q·(p/‖p‖)^γ − ‖q‖] with ‖f‖ = (∫ f^(1 + γ))^(1/(1 + γ)), of the logarithms of densities on a grid."""

    def log_norm(log_density: np.ndarray) -> float:
        return np.log((np.exp((1 + gamma) * log_density) * weight).sum()) / (1 + gamma)

    crossed = (np.exp(log_q + gamma * (log_p - log_norm(log_p))) * weight).sum()
    return -(crossed - np.exp(log_norm(log_q))) / gamma


def grid(reach: float = 14.0, points: int = 1201) -> tuple[np.ndarray, np.ndarray]:
    """Points x = sinh t and the weights of their sum."""
    t = np.linspace(-reach, reach, points)
    return np.sinh(t), np.cosh(t) * (t[1] - t[0])


@pytest.mark.parametrize(("df", "values", "x_scale"), [(4.0, 3, 0.7), (9.0, 1, 1.0), (2.5, 20, 0.3)])
def test_the_regulariser_is_the_divergence_from_the_alternative_prior(df, values, x_scale):
    """One latent: the same factor for every posterior, and 0 at the alternative prior."""
    z, weight = grid(25.0, 20_001)
    prior = alternative_prior(df, values, 1, x_scale)
    gamma = -2 / (df + values + 1)
    factors = []
    for loc, variance in ((0.0, 1.0), (1.0, 0.5), (-2.0, 0.1), (0.3, 3.0)):
        scale = math.sqrt(variance / (1 + values / df))
        densities = (stats.t.logpdf(z, df + values, *of) for of in ((loc, scale), (0.0, prior.scale.item())))
        divergence = power_divergence(*densities, weight, gamma)
        given = number([loc]), number([variance]).log(), number([df]), values, number(x_scale)
        factors.append(regulariser(*given).item() / divergence)
    assert factors == pytest.approx([factors[0]] * 4, rel=1e-5)
    assert factors[0] > 0


@pytest.mark.parametrize("latents", [1, 4])
def test_the_regulariser_has_its_minimum_at_the_alternative_prior(latents):
    df, values, x_scale = 5.0, 6, 0.4
    prior = alternative_prior(df, values, latents, x_scale)
    loc = torch.zeros(latents, dtype=torch.float64, requires_grad=True)
    log_variance = (2 * prior.scale.double().log() + math.log1p(values / df)).requires_grad_()
    least = regulariser(loc, log_variance, number([df]), values, number(x_scale))
    assert least.item() == pytest.approx(0, abs=1e-6)
    slopes = torch.autograd.grad(least, [loc, log_variance])
    assert all(slope.abs().max() < 1e-6 for slope in slopes)
    for _ in range(20):
        other = loc + 0.5 * torch.randn_like(loc), log_variance + 0.5 * torch.randn_like(loc)
        assert regulariser(*other, number([df]), values, number(x_scale)) > 0


def model(df: float, sigma: float = 0.5, latents: int = 1) -> VAE:
    """x̂ = 2z for one value of x, with a posterior whose location is x/3."""
    encoder, decoder = torch.nn.Linear(1, 2 * latents), torch.nn.Linear(latents, 1)
    with torch.no_grad():
        encoder.weight.copy_(torch.tensor([[1 / 3]] * latents + [[0.0]] * latents))
        encoder.bias.copy_(torch.tensor([0.0] * latents + [-0.8] * latents))
        decoder.weight.fill_(2.0)
        decoder.bias.zero_()
    likelihood = MultivariateTLikelihood(latents, df, sigma, x_shape=(1,))
    return VAE(encoder, MultivariateTSampler(latents, [1], df=df), decoder, likelihood, latents, (1,)).double()


def test_many_degrees_of_freedom_give_the_elbo_of_normal_latents():
    """½·|x − x̂|²/σ² + KL(N(loc, Σ) ‖ N(0, 1)), with no constant left."""
    vae, x = model(1e7), torch.tensor([[0.3], [-2.0]], dtype=torch.float64)
    output = vae(x)
    found = GammaPower()(vae, Pass(x, None, output, *torch.zeros(2, 1)), 0.7)
    kl = kl_divergence(Normal(x / 3, math.exp(-0.4)), Normal(0.0, 1.0)).squeeze(-1)
    expected = 0.5 * ((x - 2 * output.z) / 0.5).square().squeeze(-1) + 0.7 * kl
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def exact_divergence(df: float, slope: float, variance: float, sigma: float) -> float:
    """Of N(0, 1) times t(ν + 1) posteriors around slope·x, from the joint t of z and x = 2z + …; in the loss's units.

    The divergence is (k/(−γν))·(E[ν + z² + |x − 2z|²/σ²] − …): the factor turns its first term into half of this sum.
    """
    (x, of_x), (z, of_z) = grid(3.5, 301), grid(12.0, 801)
    x, z, weight = x[:, None], z[None], of_x[:, None] * of_z[None]
    log_q = stats.norm.logpdf(x) + stats.t.logpdf(z, df + 1, slope * x, math.sqrt(variance / (1 + 1 / df)))
    log_mode = stats.multivariate_t([0, 0], np.eye(2), df=df).logpdf([0, 0]) - math.log(sigma)
    log_p = log_mode - (df + 2) / 2 * np.log1p((z**2 + (x - 2 * z) ** 2 / sigma**2) / df)
    gamma = -2 / (df + 2)
    # ∫ p^(1 + γ) = mode^γ·(1 + E|u|²/ν), with 2ν/(ν − 2) for the bivariate t.
    log_norm = (gamma * log_mode + math.log1p(2 / (df - 2))) / (1 + gamma)
    factor = -gamma * df / 2 * math.exp(gamma * (log_norm - log_mode))
    return factor * power_divergence(log_q, log_p, weight, gamma)


def expected_loss(df: float, slope: float, variance: float, sigma: float) -> float:
    """E of the loss, with E[z²] and E|x − 2z|² by their moments."""

    def of_example(x: float) -> float:
        spread = variance / (1 + 1 / df) * (df + 1) / (df - 1)
        squares = ((x - 2 * slope * x) ** 2 + 4 * spread) / sigma**2
        given = number([slope * x]), number([variance]).log(), number([df]), 1, number(sigma)
        return 0.5 * (squares + regulariser(*given).item()) * stats.norm.pdf(x)

    return integrate.quad(of_example, -10, 10, epsabs=1e-10)[0]


def test_the_loss_is_the_divergence_of_the_joint_densities_up_to_a_constant_and_small_terms():
    """By quadrature over x and z: those of |Σ| are of order γ, and the location has none."""
    start, ends = (0.4, 0.2), [(0.5, 0.2), (0.3, 0.4), (0.45, 0.06), (0.4, 0.1)]
    errors = []
    for df in (10.0, 40.0, 160.0):
        given = [(exact_divergence(df, *end, 0.7), expected_loss(df, *end, 0.7)) for end in (start, *ends)]
        exact, found = np.array(given).T
        exact, found = exact - exact[0], found - found[0]
        assert found[1] == pytest.approx(exact[1], rel=1e-4)
        errors.append(np.abs(found - exact).max() / np.ptp(exact))
    assert errors[0] < 0.2
    # A quarter of γ, and about a quarter of the error.
    assert errors[1] < errors[0] / 3
    assert errors[2] < errors[1] / 3


def test_both_have_their_minimum_at_the_same_posterior():
    df, sigma, variances = 100.0, 0.7, np.linspace(0.05, 0.2, 16)
    exact = [exact_divergence(df, 0.4, variance, sigma) for variance in variances]
    found = [expected_loss(df, 0.4, variance, sigma) for variance in variances]
    assert variances[np.argmin(found)] == pytest.approx(variances[np.argmin(exact)], abs=0.011)
    assert 0 < np.argmin(exact) < 15


def test_x_and_z_are_t_together():
    """p(z)·p(x|z) around x̂ is the density of t(ν) in L + n dimensions."""
    df, sigma = 4.5, 0.3
    sampler = MultivariateTSampler(2, [3], df=df).double()
    likelihood = MultivariateTLikelihood(2, df, sigma, x_shape=[3]).double()
    z, x, centre = (2 * torch.randn(5, size, dtype=torch.float64) for size in (2, 3, 3))
    found = sampler.prior().log_prob(z) + likelihood(centre, z).log_prob(x).sum(-1)
    scale = np.diag([1, 1, *[sigma**2] * 3])
    expected = stats.multivariate_t(np.zeros(5), scale, df=df).logpdf(torch.cat([z, x - centre], -1).numpy())
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=1e-6, atol=1e-6)


def test_the_posterior_of_a_joint_t_is_in_the_samplers_family():
    """z given x of a t(ν) in 1 + 2 dimensions: ν + 2 degrees of freedom, and the scale at |x|² = n."""
    df, x = 4.0, torch.tensor([1.0, -1.0])
    q = MultivariateTSampler(1, [2], df=df)(torch.zeros(1, 2))
    together = stats.multivariate_t(np.zeros(3), np.eye(3), df=df)
    for z in (0.0, 0.7, -3.0):
        conditional = together.logpdf([z, *x]) - stats.multivariate_t(np.zeros(2), np.eye(2), df=df).logpdf(x)
        # (1 + |x|²/ν)/(1 + n/ν) = 1 here.
        q_here = type(q)(q.df, q.loc, q.scale * math.sqrt(1 + 2 / df))
        assert q_here.log_prob(torch.tensor([[z]])).item() == pytest.approx(conditional, abs=1e-5)


def test_a_far_latent_has_a_wide_likelihood_in_decode():
    vae = model(4.0)
    p = vae.decode(torch.tensor([[0.0], [6.0]], dtype=torch.float64))
    assert p.scale.square().flatten().tolist() == pytest.approx([0.25 * 4 / 5, 0.25 * 40 / 5])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sampler=student_t"], "use sampler=multivariate_t and likelihood=multivariate_t"),
        (["likelihood=student_t"], "use sampler=multivariate_t and likelihood=multivariate_t"),
        (["sampler.df=6", "likelihood.df=5"], "the same number > 2, but got 6 and 5"),
        (["sampler.df=2", "likelihood.df=2"], "the same number > 2, but got 2 and 2"),
        (["likelihood.learn_scale=true"], "likelihood.learn_scale=false"),
        (["sampler.given_x=false"], "sampler.given_x=true"),
        (["likelihood.learn_scale=per_pixel"], "learn_scale must be true or false, but got 'per_pixel'"),
        (["sampler.x_scale=0.1", "sampler.df=2"], "sampler.x_scale needs sampler.df > 2"),
        (["prior=learned"], "would train no other; use prior=standard"),
    ],
)
def test_other_models_are_refused(overrides, message, configure):
    with pytest.raises(ValueError, match=message):
        build_experiment(configure(*T3VAE, *SMALL, *overrides))


@pytest.mark.parametrize(
    "differing",
    [
        [(f"sampler.df={df}", f"likelihood.df={df}") for df in (4, 7)],
        [(f"likelihood.scale={scale}",) for scale in (1.0, 0.1)],
        [
            (f"sampler.df={df}", f"likelihood.df={df}", f"likelihood.scale={scale}")
            for df, scale in ((4, 2.0), (7, 0.3))
        ],
    ],
    ids=["df", "scale", "both"],
)
def test_members_of_a_stack_may_have_different_parameters(differing):
    """The terms of each are those that it has alone."""
    members = [build_experiment(composed(*T3VAE, *SMALL, *options)) for options in differing]
    stacked = stack_models([module.vae for module, _ in members])
    x = members[0].data.prepared("train", 6).x
    output = stacked(x.expand(2, *x.shape))
    terms = Pass(x.expand(2, *x.shape), None, output, *torch.zeros(2, 1))
    loss = GammaPower()(stacked, terms, torch.tensor([[0.5], [2.0]]))
    for run, beta in enumerate((0.5, 2.0)):
        vae, z = members[run].module.vae, output.z[run]
        own = VAEOutput(vae.encode(x), z, vae.decode(z))
        torch.testing.assert_close(GammaPower()(vae, Pass(x, None, own, *torch.zeros(2, 1)), beta), loss[run])
        torch.testing.assert_close(stacked.log_likelihood(output, x)[run], vae.log_likelihood(own, x))
        torch.testing.assert_close(stacked.kl_divergence(output.q, output.z)[run], vae.kl_divergence(own.q, z))


@pytest.mark.parametrize("overrides", [(), ("sampler.x_scale=${likelihood.scale}", "condition=both")])
def test_a_run_is_trained_scored_loaded_and_generates(overrides, configure):
    data = ("dataset=student_t_mixture", "dataset.train_size=1000", "dataset.test_size=200", "model.latent_dim=2")
    config = configure(*T3VAE, *data, *overrides, "test_noises=null", "trainer.max_epochs=1")
    metrics = train(config)
    assert metrics["reconstruct/clean/elbo"] == pytest.approx(
        metrics["reconstruct/clean/log_likelihood"] - metrics["reconstruct/clean/kl"]
    )
    folder = Run.of(config).folder
    again = evaluate(configure(f"run={folder}", OPENED_ON, "nll.samples=4", name="evaluate"))
    assert again["reconstruct/clean/elbo"] == metrics["reconstruct/clean/elbo"]
    vae = vae_hydra.load(folder)
    assert vae.sample(5).shape == (5, 1)
    prior_df = 6.0 if overrides else 5.0
    assert vae.prior_distribution().df.item() == prior_df
