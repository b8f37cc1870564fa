"""Any parameters from 1e-4 to 1e4 in both precisions: densities against mpmath, KLs, masses; nothing is NaN."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp
from torch.distributions import Gamma, Laplace, LogNormal, Normal, kl_divergence
from torch.distributions import StudentT as TorchStudentT

from vae_hydra.distributions import (
    ContinuousBernoulli,
    HomoscedasticNormal,
    Huber,
    HyperbolicSecant,
    InverseGaussian,
    ParetoTails,
    StudentT,
    UpperParetoTail,
    Weibull,
)
from vae_hydra.model.likelihoods import (
    BernoulliLikelihood,
    ContinuousBernoulliLikelihood,
    GaussianLikelihood,
    GeneralisedParetoLikelihood,
    HuberLikelihood,
    LaplaceLikelihood,
    LogCoshLikelihood,
    StudentTLikelihood,
)

any_parameters = settings(max_examples=30, derandomize=True, database=None, deadline=None)
DTYPES = [torch.float32, torch.float64]
# 1e-4 to 1e4, each order of magnitude as likely as the others.
POSITIVE = st.floats(-4, 4).map(lambda exponent: 10.0**exponent)
REAL = st.one_of(st.just(0.0), st.builds(lambda size, sign: sign * size, POSITIVE, st.sampled_from([-1, 1])))
UNIT = st.floats(0, 1)


def inverse_gaussian(x, loc, concentration):
    quadratic = concentration * (x - loc) ** 2 / (2 * loc**2 * x)
    logs = (mp.log(concentration / (2 * mp.pi)) - 3 * mp.log(x)) / 2
    return logs - quadratic, 3 * abs(mp.log(x)) + abs(mp.log(concentration)) + quadratic


def weibull(x, scale, concentration):
    t = concentration * mp.log(x / scale)
    # Through the logarithms of x and the scale, whose last digits count k times.
    error = concentration * (abs(mp.log(x)) + abs(mp.log(scale))) * (1 + mp.exp(t))
    return mp.log(concentration) - mp.log(x) + t - mp.exp(t), error + abs(mp.log(concentration)) + abs(mp.log(x))


def student_t(x, df, loc, scale):
    u = (x - loc) / scale
    normaliser = mp.log(scale) + mp.log(df) / 2 + mp.log(mp.beta(df / 2, mp.mpf(1) / 2))
    tail = (df + 1) / 2 * mp.log1p(u * u / df)
    return -tail - normaliser, tail + min(df + 1, u * u) + abs(mp.log(scale)) + abs(mp.log(df))


def huber(x, loc, scale, threshold):
    u = abs(x - loc) / scale
    z = mp.sqrt(2 * mp.pi) * mp.erf(threshold / mp.sqrt(2)) + 2 / threshold * mp.exp(-(threshold**2) / 2)
    loss = u * u / 2 if u <= threshold else threshold * u - threshold**2 / 2
    return -loss - mp.log(z * scale), u * min(u, threshold) + abs(mp.log(z)) + abs(mp.log(scale))


def pareto_tails(x, loc, scale, threshold, shape, beta, sides=2):
    u = (x - loc) / scale
    outward = abs(u) if sides == 2 else u
    edge = mp.exp(-(threshold**2) / 2) * beta
    body = mp.erf(threshold / mp.sqrt(2)) if sides == 2 else mp.ncdf(threshold)
    z = mp.sqrt(2 * mp.pi) * body + sides * edge
    inside, growth = min(outward, threshold), max(outward - threshold, 0) * shape / beta
    tail = (1 / shape + 1) * mp.log1p(growth)
    # The last digit of the distance from the threshold counts with the slope of the tail.
    error = (1 + shape) / (1 + growth) / beta * max(abs(u), threshold) if growth else 0
    return -(inside**2) / 2 - tail - mp.log(z * scale), inside**2 + tail + error + abs(mp.log(z)) + abs(mp.log(scale))


def upper_pareto_tail(x, *parameters):
    return pareto_tails(x, *parameters, sides=1)


def hyperbolic_secant(x, loc, scale):
    u = abs(x - loc) / scale
    log_cosh = u + mp.log1p(mp.exp(-2 * u)) - mp.log(2)
    return -log_cosh - mp.log(mp.pi * scale), u + abs(mp.log(scale))


def normal(x, loc, scale):
    square = ((x - loc) / scale) ** 2 / 2
    return -square - mp.log(scale) - mp.log(2 * mp.pi) / 2, square + abs(mp.log(scale))


def continuous_bernoulli(x, logits):
    if logits == 0:
        return mp.mpf(0), mp.mpf(0)
    size, distance = abs(logits), 1 - x if logits > 0 else x
    log_mass = mp.log(-mp.expm1(-size) / size)
    return -size * distance - log_mass, size * distance + abs(log_mass)


# Family, its parameters, its values, and (x, *parameters) → ln p(x) with the size of what it is a sum of.
DENSITIES = {
    "continuous_bernoulli": (lambda a: ContinuousBernoulli(logits=a), (REAL,), UNIT, continuous_bernoulli),
    "homoscedastic_normal": (HomoscedasticNormal, (REAL, POSITIVE), REAL, normal),
    "huber": (Huber, (REAL, POSITIVE, POSITIVE), REAL, huber),
    "hyperbolic_secant": (HyperbolicSecant, (REAL, POSITIVE), REAL, hyperbolic_secant),
    "inverse_gaussian": (InverseGaussian, (POSITIVE, POSITIVE), POSITIVE, inverse_gaussian),
    "pareto_tails": (ParetoTails, (REAL, *[POSITIVE] * 4), REAL, pareto_tails),
    "student_t": (StudentT, (POSITIVE, REAL, POSITIVE), REAL, student_t),
    "upper_pareto_tail": (UpperParetoTail, (REAL, *[POSITIVE] * 4), REAL, upper_pareto_tail),
    "weibull": (Weibull, (POSITIVE, POSITIVE), POSITIVE, weibull),
}


def tensors(values, dtype):
    return [torch.tensor(value, dtype=dtype, requires_grad=True) for value in values]


@pytest.mark.parametrize("name", DENSITIES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_log_density_is_exact_and_has_a_gradient(name, dtype):
    family, parameters, values, exact = DENSITIES[name]

    @any_parameters
    @given(st.tuples(values, *parameters))
    def check(drawn):
        x, *given_to = tensors(drawn, dtype)
        found = family(*given_to).log_prob(x)
        with mp.workdps(50):
            expected, size = map(float, exact(*(mp.mpf(value.item()) for value in (x, *given_to))))
        limit = torch.finfo(dtype).max
        if abs(expected) > limit / 10:
            assert found.item() < -limit / 100
            return
        assert found.item() == pytest.approx(expected, abs=16 * torch.finfo(dtype).eps * (1 + size)), drawn
        gradients = torch.autograd.grad(found, [x, *given_to])
        assert not any(gradient.isnan() for gradient in gradients), drawn

    check()


@pytest.mark.parametrize("name", DENSITIES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_draws_entropies_and_moments_are_numbers(name, dtype):
    family, parameters, _, _ = DENSITIES[name]

    @any_parameters
    @given(st.tuples(*parameters))
    def check(drawn):
        q = family(*tensors(drawn, dtype))
        values = [q.rsample((8,)), q.entropy(), q.log_prob(q.sample((8,)).clamp(1e-4, 1))]
        # A t-distribution without a mean or a variance says NaN, and so do two tails without a mean.
        has_none = (name == "student_t" and drawn[0] <= 1) or (name == "pareto_tails" and drawn[3] >= 1)
        values += [] if has_none else [q.mean, q.variance]
        assert not any(value.isnan().any() for value in values), drawn

    check()


PAIR = (POSITIVE, POSITIVE)
KL_FAMILIES = {
    Gamma: PAIR,
    LogNormal: (st.floats(-4, 4), POSITIVE),
    Weibull: PAIR,
    InverseGaussian: PAIR,
    Normal: (REAL, POSITIVE),
    Laplace: (REAL, POSITIVE),
    StudentT: (POSITIVE, REAL, POSITIVE),
    TorchStudentT: (POSITIVE, REAL, POSITIVE),
    ContinuousBernoulli: (REAL,),
}
MAKE = {ContinuousBernoulli: lambda a: ContinuousBernoulli(logits=a)}
POSITIVE_FAMILIES = [Gamma, LogNormal, Weibull, InverseGaussian]
REGISTERED = [
    *((p, q) for p in POSITIVE_FAMILIES for q in POSITIVE_FAMILIES if (p, q) != (InverseGaussian, LogNormal)),
    *((p, q) for p in (Normal, Laplace) for q in (Normal, Laplace)),
    (StudentT, Normal),
    (TorchStudentT, Normal),
    (ContinuousBernoulli, ContinuousBernoulli),
]
REGISTERED.remove((InverseGaussian, Weibull))


@pytest.mark.parametrize(("p", "q"), REGISTERED, ids=lambda family: family.__name__)
@pytest.mark.parametrize("dtype", DTYPES)
def test_kl_is_never_nan(p, q, dtype):
    make = [MAKE.get(family, family) for family in (p, q)]

    @any_parameters
    @given(st.tuples(*KL_FAMILIES[p]), st.tuples(*KL_FAMILIES[q]))
    def check(one, other):
        first, second = tensors(one, dtype), tensors(other, dtype)
        value = kl_divergence(make[0](*first), make[1](*second))
        assert not value.isnan(), (one, other)
        if value.isinf():
            # It is, or it is beyond the precision, in more digits too.
            assert kl_divergence(make[0](*tensors(one, torch.float64)), make[1](*tensors(other, torch.float64))) > 1e37
        else:
            # Terms of up to 1e5 cancel where the two are close.
            assert value.item() > -1e6 * torch.finfo(dtype).eps, (one, other)
            gradients = torch.autograd.grad(value, [*first, *second], allow_unused=True)
            assert not any(g is not None and g.isnan() for g in gradients), (one, other)

    check()


LOCATION_SCALE = {
    "gaussian": lambda scale, shape: GaussianLikelihood(scale),
    "gaussian_per_pixel": lambda scale, shape: GaussianLikelihood(scale, "per_pixel", min_scale=1e-6, x_shape=(1,)),
    "laplace": lambda scale, shape: LaplaceLikelihood(scale),
    "student_t": lambda scale, shape: StudentTLikelihood(scale, 1 + shape),
    "huber": lambda scale, shape: HuberLikelihood(scale, shape),
    "log_cosh": lambda scale, shape: LogCoshLikelihood(scale),
    **{
        f"generalised_pareto_{tails}": lambda scale, shape, tails=tails: GeneralisedParetoLikelihood(
            scale, threshold=0.1 + shape, shape=0.8 * shape / (0.01 + shape), learn_scale=False, tails=tails
        )
        for tails in ("both", "upper")
    },
}


def mass(log_density, x):
    """∫ p(x) dx by the trapezoidal rule in double precision, of points and densities in single."""
    x, density = x.double(), log_density.double().exp()
    return torch.trapezoid(density, x).item()


@pytest.mark.parametrize("name", LOCATION_SCALE)
@any_parameters
@given(scale=POSITIVE, shape=POSITIVE, share=st.floats(0, 100))
def test_location_scale_likelihoods_have_the_mass_one(name, scale, shape, share):
    """In float32. The location is up to 100 scales from 0: further out neighbouring floats of x tell no density."""
    location = torch.tensor(share * scale)
    p = LOCATION_SCALE[name](scale, shape)(location)
    # The density falls at least as exp(−min(δ, 1)·u), or as u^(−2) for a t-distribution.
    half = torch.cat([torch.zeros(1), torch.logspace(-5, 7, 12_001)])
    u = torch.cat([-half.flip(0)[:-1], half])
    x = (location + scale * u).unique()
    assert mass(p.log_prob(x).detach(), x) == pytest.approx(1, abs=2e-3), (scale, shape, share)


@any_parameters
@given(logit=REAL)
def test_continuous_bernoulli_likelihood_has_the_mass_one(logit):
    ends = torch.cat([torch.zeros(1), torch.logspace(-7, math.log10(0.5), 8001)])
    x = torch.cat([ends, 1 - ends]).unique()
    p = ContinuousBernoulliLikelihood()(torch.tensor(logit))
    assert mass(p.log_prob(x), x) == pytest.approx(1, abs=2e-3)


@any_parameters
@given(logit=REAL)
def test_bernoulli_likelihood_has_the_mass_one(logit):
    p = BernoulliLikelihood()(torch.tensor(logit))
    assert p.log_prob(torch.tensor([0.0, 1.0])).exp().sum().item() == pytest.approx(1, abs=1e-6)
