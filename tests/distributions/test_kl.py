"""Closed KL divergences between families against quadrature, and their ends."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch.distributions import Gamma, Laplace, LogNormal, Normal, Weibull, kl_divergence

from tests.support.reference import frozen, kl_by_quadrature
from vae_hydra.distributions import InverseGaussian, StudentT

POSITIVE = {
    Gamma: [(2.0, 2.0), (0.7, 3.0), (5.0, 0.5), (1.0, 1.0)],
    LogNormal: [(0.0, 1.0), (-0.5, 0.3), (0.4, 0.6)],
    Weibull: [(1.0, 1.0), (2.0, 0.8), (0.5, 3.0), (1.5, 1.5)],
    InverseGaussian: [(1.0, 1.0), (2.0, 0.5), (0.3, 4.0)],
}
# They need the expectations of ln² x and of x^k under an InverseGaussian.
NOT_CLOSED = [(InverseGaussian, LogNormal), (InverseGaussian, Weibull)]
PAIRS = [pair for pair in product(POSITIVE, POSITIVE) if pair not in NOT_CLOSED]
REAL = [
    (Laplace, Normal, (0.3, 0.5), (-0.5, 2.0)),
    (Laplace, Normal, (-2.0, 3.0), (1.0, 0.4)),
    (Normal, Laplace, (0.3, 0.5), (-0.5, 2.0)),
    (Normal, Laplace, (-2.0, 3.0), (1.0, 0.4)),
    (Laplace, Laplace, (-2.0, 3.0), (1.0, 0.4)),
    *((StudentT, Normal, p, (0.5, 1.5)) for p in [(3.0, 0.0, 1.0), (5.0, -1.0, 0.3), (100.0, 2.0, 4.0)]),
    (torch.distributions.StudentT, Normal, (5.0, -1.0, 0.3), (0.5, 1.5)),
]
# E[1/x], which ln q of an InverseGaussian asks for, diverges.
INFINITE = [(Gamma, (0.7, 3.0)), (Gamma, (1.0, 1.0)), (Weibull, (2.0, 0.8)), (Weibull, (1.0, 1.0))]


def make(family, parameters, dtype=torch.float64):
    return family(*(torch.tensor(value, dtype=dtype, requires_grad=True) for value in parameters))


def gradients(value, *distributions):
    leaves = [getattr(d, name) for d in distributions for name in d.arg_constraints]
    return torch.stack(torch.autograd.grad(value, leaves))


def examples(pair):
    p, q = pair
    return [
        case for case in product(POSITIVE[p], POSITIVE[q]) if q is not InverseGaussian or (p, case[0]) not in INFINITE
    ]


def names(value):
    return value.__name__ if isinstance(value, type) else None


@pytest.mark.parametrize(("family_p", "family_q"), PAIRS, ids=names)
def test_positive_pairs_match_quadrature(family_p, family_q):
    for p, q in examples((family_p, family_q)):
        one, other = make(family_p, p), make(family_q, q)
        expected = kl_by_quadrature(frozen(one), frozen(other))
        assert kl_divergence(one, other).item() == pytest.approx(expected, rel=1e-6, abs=1e-9), (p, q)
        single = kl_divergence(make(family_p, p, torch.float32), make(family_q, q, torch.float32))
        assert single.item() == pytest.approx(expected, rel=1e-4, abs=1e-5), (p, q)


@pytest.mark.parametrize(("family_p", "family_q", "p", "q"), REAL, ids=names)
def test_real_pairs_match_quadrature(family_p, family_q, p, q):
    one, other = make(family_p, p), make(family_q, q)
    expected = kl_by_quadrature(frozen(one), frozen(other))
    assert kl_divergence(one, other).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("family_p", "family_q"), [*PAIRS, (StudentT, Normal)], ids=names)
def test_gradients_are_those_of_the_value(family_p, family_q):
    first = (3.0, 0.5, 2.0) if family_p is StudentT else (1.5, 3.0)
    second = (0.8, 1.7)
    parameters = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (*first, *second)]
    split = len(first)
    torch.autograd.gradcheck(lambda *v: kl_divergence(family_p(*v[:split]), family_q(*v[split:])), parameters)


@pytest.mark.parametrize(("family_p", "family_q"), PAIRS, ids=names)
def test_pairs_broadcast(family_p, family_q):
    p = family_p(torch.full((3, 1), 2.0), torch.full((4,), 1.5))
    q = family_q(torch.tensor(0.7), torch.tensor(0.9))
    assert kl_divergence(p, q).shape == (3, 4)


@pytest.mark.parametrize(("family", "p"), INFINITE, ids=names)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_infinite_where_a_moment_is(family, p, dtype):
    one, other = make(family, p, dtype), make(InverseGaussian, (1.0, 1.0), dtype)
    value = kl_divergence(one, other)
    assert value.item() == torch.inf
    assert not gradients(value, one, other).isnan().any()


@pytest.mark.parametrize("df", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("family", [StudentT, torch.distributions.StudentT])
def test_student_t_without_a_variance_is_infinitely_far_from_a_normal(family, df):
    p, q = make(family, (df, 0.0, 1.0), torch.float32), make(Normal, (0.0, 1.0), torch.float32)
    value = kl_divergence(p, q)
    assert value.item() == torch.inf
    assert not gradients(value, p, q).isnan().any()


@pytest.mark.parametrize("df", [10.0, 1e3, 1e5, 1e7])
def test_student_t_becomes_a_normal(df):
    """KL(StudentT(ν, 0, 1) ‖ Normal(0, 1)) falls as 7/(4ν²); single precision is right to its rounding."""
    p, q = make(StudentT, (df, 0.0, 1.0)), make(Normal, (0.0, 1.0))
    if 1e2 < df < 1e6:
        assert kl_divergence(p, q).item() == pytest.approx(1.75 / df**2, rel=0.01)
    single = kl_divergence(make(StudentT, (df, 0.0, 1.0), torch.float32), make(Normal, (0.0, 1.0), torch.float32))
    assert single.item() == pytest.approx(kl_divergence(p, q).item(), abs=1e-5)


@pytest.mark.parametrize("excess", [-1e-2, -1e-4, 0.0, 1e-4, 1e-2])
def test_weibull_pair_keeps_small_differences(excess):
    """Close to the same distribution, single precision neither loses the little there is nor goes far below 0."""
    exact = kl_divergence(make(Weibull, (1.5, 2.0 + excess)), make(Weibull, (1.5 + excess, 2.0))).item()
    p, q = make(Weibull, (1.5, 2.0 + excess), torch.float32), make(Weibull, (1.5 + excess, 2.0), torch.float32)
    assert kl_divergence(p, q).item() == pytest.approx(exact, rel=1e-2, abs=1e-8)


@pytest.mark.parametrize(("family_p", "family_q"), NOT_CLOSED, ids=names)
def test_pairs_that_are_not_closed_stay_unregistered(family_p, family_q):
    with pytest.raises(NotImplementedError):
        kl_divergence(make(family_p, (1.0, 1.0)), make(family_q, (1.0, 1.0)))
