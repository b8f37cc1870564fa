"""Mixtures against scipy: densities, gradients, precision and memory."""

import numpy as np
import pytest
import torch
from scipy import special, stats
from torch.distributions import Beta, Gamma, LogNormal, Normal
from torch.utils._python_dispatch import TorchDispatchMode

from vae_hydra.distributions import InverseGaussian, Mixture, StudentT, VonMisesFisher, parameters, with_parameters

K, L = 6, 3


def uniform(low, high, seed, *shape):
    return torch.empty(shape or (K, L)).uniform_(low, high, generator=torch.Generator().manual_seed(seed))


# Components, with scipy's distribution of the same parameters; the narrow ones are like posteriors of a trained model.
FAMILIES = {
    "normal": (Normal(uniform(-3, 3, 1), uniform(0.5, 2, 2)), lambda p: stats.norm(p["loc"], p["scale"])),
    "narrow_normal": (Normal(uniform(-3, 3, 1), uniform(1e-3, 2e-3, 2)), lambda p: stats.norm(p["loc"], p["scale"])),
    "lognormal": (
        LogNormal(uniform(-1, 1, 1), uniform(0.1, 1, 2)),
        lambda p: stats.lognorm(p["scale"], scale=np.exp(p["loc"])),
    ),
    "gamma": (
        Gamma(uniform(0.3, 5, 1), uniform(0.5, 3, 2)),
        lambda p: stats.gamma(p["concentration"], scale=1 / p["rate"]),
    ),
    "narrow_gamma": (
        Gamma(uniform(3000, 9000, 1), uniform(2000, 5000, 2)),
        lambda p: stats.gamma(p["concentration"], scale=1 / p["rate"]),
    ),
    "inverse_gaussian": (
        InverseGaussian(uniform(0.5, 2, 1), uniform(0.5, 2, 2)),
        lambda p: stats.invgauss(p["loc"] / p["concentration"], scale=p["concentration"]),
    ),
    "beta": (
        Beta(uniform(0.5, 4, 1), uniform(0.5, 4, 2)),
        lambda p: stats.beta(p["concentration1"], p["concentration0"]),
    ),
    "student_t": (
        StudentT(uniform(3, 8, 3), uniform(-3, 3, 1), uniform(0.5, 2, 2)),
        lambda p: stats.t(p["df"], p["loc"], p["scale"]),
    ),
}
PRODUCTS = [name for name in FAMILIES if name != "student_t"]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_density_is_scipys(name):
    components, reference = FAMILIES[name]
    torch.manual_seed(0)
    logits = torch.randn(K)
    mixture = Mixture(logits, components)
    z = mixture.sample((2, 5))
    values = {key: value.double().numpy() for key, value in parameters(components).items()}
    each = reference(values).logpdf(z.double().unsqueeze(-2).numpy()).sum(-1)
    expected = special.logsumexp(logits.double().log_softmax(0).numpy() + each, axis=-1)
    assert mixture.log_prob(z).dtype == torch.float32
    np.testing.assert_allclose(mixture.log_prob(z).numpy(), expected, rtol=3e-6, atol=3e-5)


@pytest.mark.parametrize("name", PRODUCTS)
def test_gradients_are_those_of_the_sum_over_components(name):
    """Gradients of values and of parameters, in double precision by torch's own densities."""
    torch.manual_seed(0)
    given = {key: value.double().requires_grad_() for key, value in parameters(FAMILIES[name][0]).items()}
    components = with_parameters(FAMILIES[name][0], given)
    z = Mixture(torch.zeros(K), components).sample((5,)).requires_grad_()
    direct = torch.logsumexp(components.log_prob(z.unsqueeze(-2)).sum(-1), -1).sum()
    expected = torch.autograd.grad(direct, [z, *given.values()])
    actual = torch.autograd.grad(Mixture(torch.zeros(K), components).log_prob(z).sum(), [z, *given.values()])
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-7)


def test_unit_vectors_have_the_density_of_their_directions():
    loc = torch.nn.functional.normalize(uniform(-1, 1, 1), dim=-1)
    kappa = torch.tensor([0.0, 0.5, 2.0, 10.0, 100.0, 1000.0])
    mixture = Mixture(torch.zeros(K), VonMisesFisher(loc, kappa))
    torch.manual_seed(0)
    z = mixture.sample((20,))
    each = [np.full(20, -np.log(4 * np.pi))]  # κ = 0 is uniform on the sphere
    each += [stats.vonmises_fisher(m / np.linalg.norm(m), k).logpdf(unit(z)) for m, k in directions(loc, kappa)]
    expected = special.logsumexp(np.stack(each), axis=0) - np.log(K)
    np.testing.assert_allclose(mixture.log_prob(z).numpy(), expected, atol=2e-4)


def directions(loc, kappa):
    return [(m, k) for m, k in zip(loc.double().numpy(), kappa.double().numpy(), strict=True) if k > 0]


def unit(z):
    """scipy wants unit vectors in double precision."""
    return torch.nn.functional.normalize(z.double(), dim=-1).numpy()


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("shared", [True, False], ids=["components of a run", "components of a point"])
def test_a_batch_of_mixtures_is_each_of_them(name, shared):
    """Two mixtures of three components, of runs [2, 1] or of points [2, 5]."""
    halves = [{key: value.unflatten(0, (2, 3))[run] for key, value in all_of(name).items()} for run in (0, 1)]
    logits = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    points = 1 if shared else 5
    axes = {key: torch.stack([half[key] for half in halves]).unsqueeze(1) for key in halves[0]}
    components = with_parameters(FAMILIES[name][0], {k: v.expand(2, points, 3, L) for k, v in axes.items()})
    batch = Mixture(logits.unsqueeze(1), components)
    assert (batch.batch_shape, batch.event_shape, batch.mean.shape) == ((2, points), (L,), (2, points, L))
    torch.manual_seed(0)
    z = Mixture(torch.zeros(K), FAMILIES[name][0]).sample((2, 5))
    for run, half in enumerate(halves):
        alone = Mixture(logits[run], with_parameters(FAMILIES[name][0], half))
        torch.testing.assert_close(batch.log_prob(z)[run], alone.log_prob(z[run]), rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(batch.mean[run, 0], alone.mean)
        # Draws of either have the mean of ln p under it.
        draws = batch.sample((4000,))
        assert draws.shape == (4000, 2, points, L)
        one, other = alone.log_prob(draws[:, run, 0]), alone.log_prob(alone.sample((4000,)))
        assert abs(stats.ttest_ind(one.numpy(), other.numpy()).statistic) < 4.5


def all_of(name):
    return parameters(FAMILIES[name][0])


class Largest(TorchDispatchMode):
    """The largest array that an operation returns."""

    numel = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and not function.is_view:
            self.numel = max(self.numel, result.numel())
        return result


@pytest.mark.parametrize("name", PRODUCTS)
def test_no_array_of_points_components_and_latents_is_made(name):
    mixture = Mixture(torch.zeros(K), FAMILIES[name][0])
    z = mixture.sample((50,))
    with Largest() as largest:
        mixture.log_prob(z)
    assert largest.numel == 50 * K


def test_autocast_leaves_the_precision_alone():
    mixture = Mixture(torch.zeros(K), FAMILIES["narrow_normal"][0])
    z = mixture.sample((50,))
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(mixture.log_prob(z), mixture.log_prob(z.double()).float(), rtol=1e-6, atol=1e-5)


def test_an_inverse_gaussian_with_other_parameters_keeps_its_gradient():
    biased = InverseGaussian(torch.ones(2), torch.ones(2), gradient="pathwise")
    assert with_parameters(biased, parameters(biased)).gradient == "pathwise"


def test_values_beyond_the_support_are_refused():
    with pytest.raises(ValueError, match="within the support"):
        Mixture(torch.zeros(K), FAMILIES["gamma"][0]).log_prob(-torch.ones(L))
