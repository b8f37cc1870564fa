"""Closed forms of KL(p‖q) that torch lacks, in nats; importing this module registers them.

Among positive families, KL(p‖q) = −H(p) − E_p[ln q(x)], where ln q is linear in ln x, ln² x and powers of x.
So each p provides these moments, and each q its expected log-density as a function of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.distributions import Distribution, Gamma, LogNormal, MultivariateNormal, Normal, Weibull, register_kl
from torch.distributions import StudentT as TorchStudentT
from torch.distributions.utils import euler_constant

from vae_hydra.distributions.inverse_gaussian import InverseGaussian
from vae_hydra.distributions.student_t import StudentT


@register_kl(StudentT, Normal)
@register_kl(TorchStudentT, Normal)
def _kl_student_t_normal(p: StudentT | TorchStudentT, q: Normal) -> Tensor:
    """−H(p) + ½·ln 2πσ² + [s²·ν/(ν − 2) + (m − μ)²]/(2σ²) for ν > 2, by the variance of p; +inf below."""
    finite = p.df > 2
    # Replace ν ≤ 2 by 3: torch.where multiplies the unused branch's gradient by 0, and 0·∞ is NaN.
    df = torch.where(finite, p.df, 3.0)
    spread = p.scale.square() * df / (df - 2) + (p.loc - q.loc).square()
    cross = 0.5 * math.log(2 * math.pi) + q.scale.log() + spread / (2 * q.scale.square())
    return torch.where(finite, cross - p.entropy(), torch.inf)


@register_kl(MultivariateNormal, Normal)
def _kl_full_normal(p: MultivariateNormal, q: Normal) -> Tensor:
    """Σⱼ ½·[(Σⱼⱼ + (mⱼ − μⱼ)²)/σⱼ² + ln 2πσⱼ²] − H(p), of all values of p together, for independent values of q."""
    spread = (p.variance + (p.loc - q.loc).square()) / q.scale.square()
    cross = 0.5 * (spread + math.log(2 * math.pi)) + q.scale.log()
    return cross.sum(-1) - p.entropy()


@register_kl(Weibull, Weibull)
def _kl_weibull(p: Weibull, q: Weibull) -> Tensor:
    """(e^g − 1 − g) + (lnΓ(a) + γ·(a − 1)), with a = k₂/k₁ and g = k₂·ln(λ₁/λ₂) + lnΓ(1 + a).

    Both terms are ≥ 0, which keeps the small differences of a trained model. Derived from
    −H(p) − E_p[ln q] with E[(x/λ₂)^k₂] = e^g. Source: Bauckhage, "Computing the Kullback–Leibler divergence
    between two Weibull distributions", 2013.
    """
    ratio = q.concentration / p.concentration
    log_power = q.concentration * (p.scale / q.scale).log() + torch.lgamma(1 + ratio)
    return torch.expm1(log_power) - log_power + torch.lgamma(ratio) + euler_constant * (ratio - 1)


class _Moments(Protocol):
    """Moments of ln x and of powers of x under a positive family."""

    def mean_log(self) -> Tensor:
        """E[ln x]."""

    def variance_log(self) -> Tensor:
        """Var[ln x]."""

    def log_moment(self, power: Tensor | float) -> Tensor:
        """ln E[x^power]; +inf for an infinite moment."""


class _GammaMoments(NamedTuple):
    """E[ln x] = ψ(α) − ln β, Var[ln x] = ψ′(α), E[x^r] = Γ(α + r)/(Γ(α)·β^r) for r > −α."""

    p: Gamma

    def mean_log(self) -> Tensor:
        return torch.digamma(self.p.concentration) - self.p.rate.log()

    def variance_log(self) -> Tensor:
        return torch.polygamma(1, self.p.concentration)

    def log_moment(self, power: Tensor | float) -> Tensor:
        ratio = _log_gamma(self.p.concentration + power) - torch.lgamma(self.p.concentration)
        return ratio - power * self.p.rate.log()


class _LogNormalMoments(NamedTuple):
    """E[ln x] = m, Var[ln x] = s², E[x^r] = exp(r·m + r²·s²/2)."""

    p: LogNormal

    def mean_log(self) -> Tensor:
        return self.p.loc

    def variance_log(self) -> Tensor:
        return self.p.scale.square()

    def log_moment(self, power: Tensor | float) -> Tensor:
        return power * self.p.loc + 0.5 * (power * self.p.scale).square()


class _WeibullMoments(NamedTuple):
    """E[ln x] = ln λ − γ/k, Var[ln x] = π²/(6k²), E[x^r] = λ^r·Γ(1 + r/k) for r > −k."""

    p: Weibull

    def mean_log(self) -> Tensor:
        return self.p.scale.log() - euler_constant / self.p.concentration

    def variance_log(self) -> Tensor:
        return math.pi**2 / 6 / self.p.concentration.square()

    def log_moment(self, power: Tensor | float) -> Tensor:
        return power * self.p.scale.log() + _log_gamma(1 + power / self.p.concentration)


def _log_gamma(x: Tensor) -> Tensor:
    """lnΓ(x) for x > 0; +inf below, where the moment's integral diverges."""
    return torch.where(x > 0, torch.lgamma(torch.where(x > 0, x, 1.0)), torch.inf)


def _expected_gamma(q: Gamma, mean_log: Tensor, mean: Tensor) -> Tensor:
    """α·ln β − lnΓ(α) + (α − 1)·E[ln x] − β·E[x]."""
    shape_term = q.concentration * q.rate.log() - torch.lgamma(q.concentration)
    return shape_term + (q.concentration - 1) * mean_log - q.rate * mean


def _expected_log_normal(q: LogNormal, moments: _Moments) -> Tensor:
    """−E[ln x] − ½·ln 2πs² − (Var[ln x] + (E[ln x] − m)²)/(2s²)."""
    mean_log = moments.mean_log()
    spread = moments.variance_log() + (mean_log - q.loc).square()
    return -mean_log - q.scale.log() - 0.5 * math.log(2 * math.pi) - spread / (2 * q.scale.square())


def _expected_weibull(q: Weibull, moments: _Moments) -> Tensor:
    """ln k − k·ln λ + (k − 1)·E[ln x] − λ^(−k)·E[x^k]."""
    log_scale = q.concentration * q.scale.log()
    power = torch.exp(moments.log_moment(q.concentration) - log_scale)
    return q.concentration.log() - log_scale + (q.concentration - 1) * moments.mean_log() - power


def _expected_inverse_gaussian(q: InverseGaussian, moments: _Moments) -> Tensor:
    """½·ln(λ/2π) − (3/2)·E[ln x] − (λ/2)·(E[x]/μ² − 2/μ + E[1/x])."""
    deviation = moments.log_moment(1.0).exp() / q.loc.square() - 2 / q.loc + moments.log_moment(-1.0).exp()
    log_normaliser = 0.5 * (q.concentration.log() - math.log(2 * math.pi)) - 1.5 * moments.mean_log()
    return log_normaliser - 0.5 * q.concentration * deviation


# Pairs of two different families. torch and the families' modules register pairs within one family.
_MOMENTS: dict[type[Distribution], Callable[[Any], _Moments]] = {
    Gamma: _GammaMoments,
    LogNormal: _LogNormalMoments,
    Weibull: _WeibullMoments,
}
_EXPECTED: dict[type[Distribution], Callable[[Any, _Moments], Tensor]] = {
    Gamma: lambda q, moments: _expected_gamma(q, moments.mean_log(), moments.log_moment(1.0).exp()),
    LogNormal: _expected_log_normal,
    Weibull: _expected_weibull,
    InverseGaussian: _expected_inverse_gaussian,
}


def _register(family_p: type[Distribution], family_q: type[Distribution]) -> None:
    @register_kl(family_p, family_q)
    def _kl(p: Distribution, q: Distribution) -> Tensor:
        return -p.entropy() - _EXPECTED[family_q](q, _MOMENTS[family_p](p))


for _p, _q in product(_MOMENTS, _EXPECTED):
    if _p is not _q:
        _register(_p, _q)


@register_kl(InverseGaussian, Gamma)
def _kl_inverse_gaussian_gamma(p: InverseGaussian, q: Gamma) -> Tensor:
    """−H(p) − E_p[ln q]. Other q need E[ln² x] or E[x^k], which have no closed form under this p."""
    return -p.entropy() - _expected_gamma(q, p.mean_log, p.loc)
