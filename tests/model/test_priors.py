"""Priors with trained parameters, against closed forms, quadrature and loops over their components."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import nn
from torch.distributions import Gamma, LogNormal, Normal, Uniform

from tests.support.samplers import PROBABILISTIC, SAMPLERS
from vae_hydra.distributions import Drawn, Mixture, StudentT, is_joint, log_density
from vae_hydra.model.likelihoods import GaussianLikelihood
from vae_hydra.model.priors import FlowPrior, LearnedPrior, MixturePrior, VampPrior
from vae_hydra.model.samplers import GammaSampler, LogNormalSampler, NormalSampler
from vae_hydra.model.vae import VAE
from vae_hydra.runs.build import build_experiment

LATENTS = 3


def vae_of(sampler, prior):
    torch.manual_seed(0)
    encoder, decoder = nn.Linear(4, sampler.parameters_per_latent * LATENTS), nn.Linear(LATENTS, 4)
    return VAE(encoder, sampler, decoder, GaussianLikelihood(x_shape=[4]), LATENTS, [4], prior=prior)


def unused(x):
    raise AssertionError("this prior encodes nothing")


# Families with trainable parameters.
TRAINABLE = [name for name in PROBABILISTIC if name != "kumaraswamy"]


def test_bounds_are_not_trained():
    with pytest.raises(ValueError, match="the bounds of Uniform cannot be trained"):
        LearnedPrior(start=Uniform(0.0, 1.0), latent_dim=2)


@pytest.mark.parametrize("name", TRAINABLE)
def test_a_learned_prior_starts_as_the_samplers_own(name):
    make, start, _ = SAMPLERS[name]
    sampler = make(start)
    vae = vae_of(sampler, LearnedPrior(start=start, latent_dim=LATENTS))
    q = vae.encode(torch.randn(6, 4))
    z = q.sample()
    torch.testing.assert_close(vae.kl_divergence(q, z), sampler.kl_divergence(q, z), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(vae.log_prior(z), start.log_prob(z).sum(-1), rtol=1e-4, atol=1e-5)
    assert vae.kl_terms == LATENTS
    assert vae.prior_sample(5).shape == (5, LATENTS)


def test_a_learned_prior_follows_its_data():
    """The maximum-likelihood Normal of points has their mean and standard deviation."""
    torch.manual_seed(0)
    points = torch.randn(4000, 2) * torch.tensor([0.5, 3.0]) + torch.tensor([1.0, -2.0])
    prior = LearnedPrior(start=Normal(0.0, 1.0), latent_dim=2)
    optimizer = torch.optim.Adam(prior.parameters(), lr=0.05)
    for _ in range(400):
        loss = -log_density(prior(unused), points).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    fitted = prior(unused)
    torch.testing.assert_close(fitted.loc, points.mean(0), rtol=0, atol=0.01)
    torch.testing.assert_close(fitted.scale, points.std(0), rtol=0.01, atol=0)


@pytest.mark.parametrize("name", TRAINABLE)
def test_a_mixture_is_the_weighted_sum_of_its_components(name):
    start = SAMPLERS[name][1]
    torch.manual_seed(1)
    prior = MixturePrior(start=start, latent_dim=LATENTS, components=4)
    nn.init.normal_(prior.logits)
    weights, parts = prior.logits.softmax(0), prior.components()
    z = start.sample((7, LATENTS))
    expected = sum(weights[k] * parts.log_prob(z.unsqueeze(1))[:, k].sum(-1).exp() for k in range(4))
    torch.testing.assert_close(prior(unused).log_prob(z).exp(), expected, rtol=1e-4, atol=1e-12)


def test_draws_of_a_mixture_have_its_marginals():
    torch.manual_seed(0)
    loc, scale = torch.tensor([[-2.0, 0.0], [3.0, 1.0]]), torch.tensor([[0.5, 1.0], [1.0, 2.0]])
    mixture = Mixture(torch.tensor([0.3, 0.7]).log(), Normal(loc, scale))
    draws = mixture.sample((4, 1000)).reshape(-1, 2)
    for latent in range(2):
        parts = [stats.norm(loc[k, latent].item(), scale[k, latent].item()) for k in range(2)]
        result = stats.kstest(draws[:, latent].numpy(), lambda x, p=parts: 0.3 * p[0].cdf(x) + 0.7 * p[1].cdf(x))
        assert result.pvalue > 0.01
    torch.testing.assert_close(mixture.mean, torch.tensor([1.5, 0.7]))


def test_a_vamp_prior_is_the_mean_of_the_posteriors_of_its_inputs():
    prior = VampPrior(input_shape=[4], components=5)
    vae = vae_of(NormalSampler(Normal(0.0, 1.0), positive="half_exp"), prior)
    examples = torch.rand(3, 4)
    prior.start(examples, 0.0, 1.0)
    torch.testing.assert_close(prior.inputs.detach(), examples[[0, 1, 2, 0, 1]])
    z = torch.randn(6, LATENTS)
    each = [vae.encode(prior.inputs[k]).log_prob(z).sum(-1).exp() for k in range(5)]
    torch.testing.assert_close(vae.log_prior(z), (sum(each) / 5).log(), rtol=1e-4, atol=1e-5)
    vae.log_prior(z).sum().backward()
    assert prior.inputs.grad.abs().sum() > 0
    assert vae.encoder.weight.grad.abs().sum() > 0


def test_pseudo_inputs_stay_in_the_range_of_the_data():
    prior = VampPrior(input_shape=[2], components=2)
    prior.start(torch.tensor([[0.0, 5.0]]), -1.0, 2.0)
    seen = []
    prior(lambda x: seen.append(x) or Normal(x, 1.0))
    torch.testing.assert_close(seen[0].detach(), torch.tensor([[0.0, 2.0], [0.0, 2.0]]))


STARTS = {"real": Normal(0.0, 1.0), "positive": LogNormal(0.0, 1.0), "gamma": Gamma(2.0, 2.0)}


@pytest.mark.parametrize("base", ["normal", "student_t"])
@pytest.mark.parametrize("start", STARTS)
def test_a_flow_is_a_density_with_the_support_of_the_latents(start, base):
    torch.manual_seed(0)
    prior = FlowPrior(start=STARTS[start], latent_dim=1, transforms=2, widths=[8], base=base, df=3.0)(unused)
    assert is_joint(prior)

    # Positive latents are integrated over ln z.
    u = torch.linspace(-80, 80, 160_001)
    z = u if start == "real" else u.exp()
    with torch.no_grad():
        log_density = prior.log_prob(z.unsqueeze(1)).nan_to_num(nan=-math.inf) + (0 if start == "real" else u)
    cumulative = integrate.cumulative_trapezoid(log_density.double().exp().numpy(), u.double().numpy(), initial=0)
    assert cumulative[-1] == pytest.approx(1, abs=1e-3)
    draws = prior.sample((2000,))[:, 0].double().numpy()
    assert start == "real" or (draws > 0).all()
    assert stats.kstest(draws, lambda x: np.interp(x, z.double().numpy(), cumulative)).pvalue > 0.01


def test_a_student_t_base_keeps_its_tails():
    """Beyond the splines, the flow is the identity up to a shift of the variables that it depends on."""
    torch.manual_seed(0)
    prior = FlowPrior(start=Normal(0.0, 1.0), latent_dim=1, base="student_t", df=3.0)(unused)
    x = torch.tensor([[50.0], [500.0]])
    torch.testing.assert_close(prior.log_prob(x), StudentT(3.0, 0.0, 1.0).log_prob(x)[:, 0], rtol=1e-4, atol=0)


JOINT = {
    "mixture": lambda start: MixturePrior(start=start, latent_dim=1, components=3),
    "flow": lambda start: FlowPrior(start=start, latent_dim=1, transforms=1, widths=[8]),
}


@pytest.mark.parametrize("kind", JOINT)
@pytest.mark.parametrize(
    "sampler",
    [
        NormalSampler(Normal(0.0, 1.0)),
        LogNormalSampler(LogNormal(0.0, 1.0)),
        GammaSampler(Gamma(2.0, 2.0)),
    ],
    ids=["normal", "lognormal", "gamma"],
)
def test_the_estimated_kl_is_right_on_average(kind, sampler):
    """The mean of many estimates against ∫ q·ln(q/p) by quadrature."""
    torch.manual_seed(0)
    prior = JOINT[kind](sampler.prior())(unused)
    q = sampler(torch.tensor([0.3, -0.5]))

    z = torch.linspace(-15 if isinstance(sampler, NormalSampler) else 1e-5, 60, 600_001).unsqueeze(1)
    with torch.no_grad():
        log_q = q.log_prob(z).sum(-1).double()
        integrand = log_q.exp() * (log_q - prior.log_prob(z).double())
    expected = integrate.trapezoid(integrand.numpy(), z[:, 0].double().numpy())
    estimates = sampler.kl_divergence(q, q.sample((20_000,)), prior)
    assert estimates.shape == (20_000, 1)
    error = estimates.std().item() / math.sqrt(20_000)
    assert estimates.mean().item() == pytest.approx(expected, abs=4.5 * error)


def test_draws_stand_for_a_distribution():
    torch.manual_seed(0)
    loc = torch.tensor([0.0, 10.0])
    drawn = Drawn(Normal(loc, 1.0).sample((50_000,)))
    p = torch.tensor([0.01, 0.5, 0.9])
    torch.testing.assert_close(drawn.icdf(p[:, None]), Normal(loc, 1.0).icdf(p[:, None]), rtol=0, atol=0.05)
    z = torch.linspace(-1.5, 1.5, 7)[:, None] + loc
    torch.testing.assert_close(drawn.log_prob(z), Normal(loc, 1.0).log_prob(z), rtol=0, atol=0.15)
    one = drawn.of(1)
    assert one.batch_shape == ()
    assert one.icdf(p).shape == (3,)
    torch.testing.assert_close(one.icdf(p), drawn.icdf(p[:, None])[:, 1])
    total = integrate.trapezoid(one.log_prob(torch.linspace(5, 15, 20_001)).exp().numpy(), dx=10 / 20_000)
    assert total == pytest.approx(1, abs=1e-3)
    assert drawn.sample((4,)).shape == (4, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MixturePrior(start=Normal(0.0, 1.0), latent_dim=2, components=0), "prior.components"),
        (lambda: MixturePrior(start=Normal(0.0, 1.0), latent_dim=2, spread=-1), "prior.spread"),
        (lambda: VampPrior(input_shape=[2], components=-1), "prior.components"),
        (lambda: FlowPrior(start=Normal(0.0, 1.0), latent_dim=2, base="cauchy"), "prior.base"),
        (lambda: FlowPrior(start=Normal(0.0, 1.0), latent_dim=2, df=0), "prior.df"),
        (lambda: FlowPrior(start=Normal(0.0, 1.0), latent_dim=2, bins=1), "prior.bins"),
    ],
)
def test_wrong_options_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_flow_leaves_the_checks_of_other_distributions_on():
    FlowPrior(start=Normal(0.0, 1.0), latent_dim=2)
    with pytest.raises(ValueError, match="scale"):
        Normal(0.0, -1.0)


D = "torch.distributions"
WITHOUT_DENSITY = [
    ("normal", f"{{_target_:{D}.Exponential,rate:1.0}}"),
    ("student_t", f"{{_target_:{D}.Gamma,concentration:1.0,rate:1.0}}"),
    ("normal", f"{{_target_:{D}.Poisson,rate:1.0}}"),
    ("lognormal", f"{{_target_:{D}.Beta,concentration1:1.0,concentration0:1.0}}"),
    ("gamma", f"{{_target_:{D}.Pareto,scale:1.0,alpha:3.0}}"),
    ("normal", "{_target_:vae_hydra.distributions.Kumaraswamy,concentration1:1.0,concentration0:1.0}"),
]


@pytest.mark.parametrize(("sampler", "prior"), WITHOUT_DENSITY)
@pytest.mark.parametrize("kind", ["standard", "mixture"])
def test_a_prior_without_a_density_where_latents_are_is_refused(sampler, prior, kind, configure):
    """Without checks of their arguments, torch's densities are finite outside their support."""
    config = configure(
        f"sampler={sampler}", "~sampler.prior", f"+sampler.prior={prior}", "sampler.kl=monte_carlo", f"prior={kind}"
    )
    with pytest.raises(ValueError, match="prior: .*(has no density where|with a density where)"):
        build_experiment(config)


@pytest.mark.parametrize("sampler", ["exponential", "half_normal"])
def test_a_prior_on_the_positive_numbers_is_one_for_positive_latents(sampler, configure):
    prior = {
        "exponential": f"{{_target_:{D}.Exponential,rate:1.0}}",
        "half_normal": f"{{_target_:{D}.HalfNormal,scale:1.0}}",
    }[sampler]
    own = ("~sampler.prior", f"+sampler.prior={prior}", "sampler.kl=monte_carlo")
    build_experiment(configure("sampler=gamma", *own))


def test_pseudo_inputs_of_noisy_channels_need_data_in_the_unit_interval(configure):
    noise = ("noise=normal", "noise.mode=stacked", "prior=vamp", "prior.components=3")
    build_experiment(configure(*noise))
    with pytest.raises(ValueError, match="channels of noise.mode=stacked take values"):
        build_experiment(configure(*noise, "dataset.transform=exp"))
