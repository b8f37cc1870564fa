"""Posteriors of dependent latents, against scipy, closed forms and quadrature."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from torch.distributions import Normal

from vae_hydra.distributions import ConditionalFlow, VonMisesFisher, log_density, parameters
from vae_hydra.model.likelihoods import GaussianLikelihood
from vae_hydra.model.priors import FlowPrior, LearnedPrior
from vae_hydra.model.samplers import FlowSampler, FullNormalSampler, VonMisesFisherSampler
from vae_hydra.model.vae import VAE

MAKE = {
    "normal_full": lambda latents: FullNormalSampler(Normal(0.0, 1.0)),
    "von_mises_fisher": VonMisesFisherSampler,
    "flow": lambda latents: FlowSampler(Normal(0.0, 1.0), latents, widths=[8], context=3),
}


def made(name, latents=3):
    torch.manual_seed(0)
    return MAKE[name](latents)


@pytest.mark.parametrize("lead", [(), (5,), (2, 3)])
@pytest.mark.parametrize("name", MAKE)
def test_shapes(name, lead):
    sampler = made(name)
    q = sampler(torch.randn(*lead, sampler.feature_count(3)))
    assert (q.batch_shape, q.event_shape) == (lead, (3,))
    z = q.rsample()
    assert z.shape == sampler.code(q).shape == (*lead, 3)
    assert sampler.kl_divergence(q, z).shape == (*lead, 1)
    assert log_density(q, q.rsample((7,))).shape == (7, *lead)


@pytest.mark.parametrize("name", MAKE)
def test_a_posterior_comes_back_from_its_parameters(name):
    sampler = made(name)
    q = sampler(torch.randn(4, sampler.feature_count(3)))
    again = sampler.posterior({key: value.detach() for key, value in parameters(q).items()})
    z = q.sample()
    torch.testing.assert_close(again.log_prob(z), q.log_prob(z), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", MAKE)
def test_the_kl_is_the_mean_log_ratio(name):
    sampler = made(name)
    q = sampler(torch.randn(sampler.feature_count(3)))
    draws = q.sample((50_000,))
    ratio = q.log_prob(draws) - log_density(sampler.prior(), draws)
    value = sampler.kl_divergence(q, draws).mean()
    assert value.item() == pytest.approx(ratio.mean().item(), abs=4.5 * ratio.std().item() / math.sqrt(50_000))
    assert value > 0


def test_a_full_normal_has_its_covariance():
    sampler = FullNormalSampler(Normal(0.0, 1.0), positive="exp")
    q = sampler(torch.tensor([1.0, -1.0, math.log(2.0), 0.5, math.log(0.3)]))
    triangle = np.array([[2.0, 0.0], [0.5, 0.3]])
    reference = stats.multivariate_normal([1.0, -1.0], triangle @ triangle.T)
    z = torch.randn(5, 2)
    np.testing.assert_allclose(q.log_prob(z), reference.logpdf(z.numpy()), rtol=1e-4)


SPHERES = [(m, kappa) for m in (2, 3, 10, 50) for kappa in (0.0, 0.5, 20.0, 1e4)]


def pole(m):
    return torch.zeros(m, dtype=torch.float64).index_fill(0, torch.tensor([0]), 1.0)


@pytest.mark.parametrize(("m", "kappa"), SPHERES)
def test_densities_on_the_sphere_match_scipy(m, kappa):
    q = VonMisesFisher(pole(m), torch.tensor(kappa, dtype=torch.float64))
    z = torch.nn.functional.normalize(
        torch.randn(6, m, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    )
    z = torch.cat([z, torch.nn.functional.normalize(pole(m) + 0.01 * z)])
    if kappa:
        expected = stats.vonmises_fisher(pole(m).numpy(), kappa).logpdf(z.numpy())
    else:
        expected = np.full(len(z), -_log_area(m))
    np.testing.assert_allclose(q.log_prob(z), expected, rtol=1e-8, atol=1e-8)


def _log_area(m):
    return math.log(2) + m / 2 * math.log(math.pi) - math.lgamma(m / 2)


@pytest.mark.parametrize(("m", "kappa"), SPHERES[1:])
def test_moments_and_kl_on_the_sphere_match_bessel_functions(m, kappa):
    q = VonMisesFisher(pole(m), torch.tensor(kappa, dtype=torch.float64))
    order = m / 2 - 1
    ratio = special.ive(order + 1, kappa) / special.ive(order, kappa) if kappa else 0.0
    assert q.mean[0].item() == pytest.approx(ratio, rel=1e-9, abs=1e-12)
    uniform = VonMisesFisher(pole(m), 0.0)
    log_c = -_log_area(m)
    if kappa:
        log_bessel = math.log(special.ive(order, kappa)) + kappa
        log_c = order * math.log(kappa) - m / 2 * math.log(2 * math.pi) - log_bessel
    expected = kappa * ratio + log_c + _log_area(m)
    found = torch.distributions.kl_divergence(q, uniform).item()
    assert found == pytest.approx(expected, rel=1e-8, abs=1e-8)
    assert -q.entropy().item() == pytest.approx(expected - _log_area(m), rel=1e-8, abs=1e-8)


@pytest.mark.parametrize(("m", "kappa"), SPHERES)
def test_draws_on_the_sphere_have_the_angles_of_the_density(m, kappa):
    torch.manual_seed(0)
    loc = torch.nn.functional.normalize(torch.randn(m, dtype=torch.float64), dim=0)
    draws = VonMisesFisher(loc, kappa).sample((4000,))
    torch.testing.assert_close(draws.norm(dim=-1), torch.ones(4000, dtype=torch.float64))
    theta = 2 * ((draws - loc).norm(dim=-1) / 2).clamp(max=1).asin()
    grid = np.linspace(0, min(math.pi, 60 / math.sqrt(kappa + 1)), 20_001)[1:]
    density = np.exp(kappa * (np.cos(grid) - 1) + (m - 2) * np.log(np.sin(grid).clip(1e-300)))
    cumulative = integrate.cumulative_trapezoid(density, grid, initial=0)
    assert stats.kstest(theta.numpy(), lambda t: np.interp(t, grid, cumulative / cumulative[-1])).pvalue > 0.005


@pytest.mark.parametrize(("m", "kappa"), [(2, 0.5), (2, 30.0), (3, 5.0), (10, 2.0), (10, 200.0)])
def test_the_radial_gradient_is_unbiased(m, kappa):
    """d E[μᵀz]/dκ = A′ = 1 − A² − A·(m − 1)/κ, and the tangent part has the gradient of μ."""
    torch.manual_seed(0)
    concentration = torch.full((20_000,), kappa, dtype=torch.float64, requires_grad=True)
    cosine = VonMisesFisher(pole(m).expand(20_000, m), concentration).rsample()[:, 0]
    (gradient,) = torch.autograd.grad(cosine.sum(), concentration)
    order = m / 2 - 1
    ratio = special.ive(order + 1, kappa) / special.ive(order, kappa)
    expected = 1 - ratio**2 - (m - 1) / kappa * ratio
    error = gradient.std().item() / math.sqrt(20_000)
    assert gradient.mean().item() == pytest.approx(expected, abs=4.5 * error)


def test_the_radial_gradient_is_that_of_the_cumulative_distribution():
    """dw/dκ = −(∂F/∂κ)/p(w) by finite differences of F, at given draws."""
    from vae_hydra.distributions.von_mises_fisher import _ImplicitAngle

    m, kappa, step = 5, 3.0, 1e-5
    cosines = np.array([-0.9, -0.2, 0.3, 0.8, 0.99])

    def density(w, k):
        return np.exp(k * w) * (1 - w**2) ** ((m - 3) / 2)

    def share(w, k):
        return (
            integrate.quad(density, -1, w, (k,), epsabs=1e-13)[0]
            / integrate.quad(density, -1, 1, (k,), epsabs=1e-13)[0]
        )

    total = integrate.quad(density, -1, 1, (kappa,))[0]
    expected = [
        -(share(w, kappa + step) - share(w, kappa - step)) / (2 * step) / (density(w, kappa) / total) for w in cosines
    ]
    concentration = torch.full((5,), kappa, dtype=torch.float64, requires_grad=True)
    less = _ImplicitAngle.apply(concentration, torch.from_numpy(1 - cosines), m)
    (gradient,) = torch.autograd.grad((1 - less).sum(), concentration)
    np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("kappa", [1e-3, 1.0, 1e3, 1e6])
def test_losses_and_gradients_stay_finite_in_single_precision(kappa):
    features = torch.cat([torch.randn(500, 10), torch.full((500, 1), kappa)], -1).requires_grad_()
    sampler = VonMisesFisherSampler(10)
    q = sampler(features)
    z = q.rsample()
    kl = sampler.kl_divergence(q, z)
    assert kl.isfinite().all()
    assert (
        torch.autograd.grad((z * torch.randn(10)).sum() + kl.sum() + q.log_prob(z).sum(), features)[0].isfinite().all()
    )


def test_a_flow_posterior_is_a_density():
    sampler = FlowSampler(Normal(0.0, 1.0), 1, context=2, widths=[8], transforms=2)
    q = sampler(torch.randn(sampler.feature_count(1)))
    assert isinstance(q, ConditionalFlow)
    z = torch.linspace(-60, 60, 100_001).unsqueeze(1)
    with torch.no_grad():
        density = q.log_prob(z).exp().double().numpy()
    grid = z[:, 0].double().numpy()
    cumulative = integrate.cumulative_trapezoid(density, grid, initial=0)
    assert cumulative[-1] == pytest.approx(1, abs=1e-3)
    draws = q.sample((3000,))[:, 0].double().numpy()
    assert stats.kstest(draws, lambda x: np.interp(x, grid, cumulative)).pvalue > 0.005


def test_the_draw_of_a_flow_has_its_gradient():
    """Along z = loc + scale·f(ε): dz/dloc = 1, and the encoder's context gets one as well."""
    sampler = FlowSampler(Normal(0.0, 1.0), 2, context=2, widths=[8])
    features = torch.randn(50, sampler.feature_count(2), requires_grad=True)
    (gradient,) = torch.autograd.grad(sampler(features).rsample().sum(), features)
    torch.testing.assert_close(gradient[:, :2], torch.ones(50, 2))
    assert (gradient[:, 4:] != 0).any()


@pytest.mark.parametrize("name", ["normal_full", "flow"])
def test_they_cross_with_trained_priors(name):
    sampler = made(name)
    for prior in (LearnedPrior(start=sampler.prior(), latent_dim=3), FlowPrior(start=sampler.prior(), latent_dim=3)):
        encoder = torch.nn.Linear(4, sampler.feature_count(3))
        vae = VAE(encoder, sampler, torch.nn.Linear(3, 4), GaussianLikelihood(x_shape=[4]), 3, [4], prior=prior)
        output = vae(torch.randn(6, 4))
        kl = vae.kl_divergence(output.q, output.z)
        assert kl.shape == (6, 1)
        kl.sum().backward()
        assert all(parameter.grad is not None for parameter in prior.parameters())


def test_points_off_the_sphere_are_moved_to_it():
    sampler = VonMisesFisherSampler(3)
    torch.testing.assert_close(sampler.on_support(torch.tensor([0.0, 3.0, 4.0])), torch.tensor([0.0, 0.6, 0.8]))
    mixed = sampler.posterior({"loc": torch.tensor([0.0, 0.3, 0.4]), "concentration": torch.tensor(2.0)})
    torch.testing.assert_close(mixed.loc.norm(), torch.tensor(1.0))


def test_a_sphere_needs_two_coordinates():
    with pytest.raises(ValueError, match="model.latent_dim of sampler=von_mises_fisher must be an integer ≥ 2"):
        VonMisesFisherSampler(1)
