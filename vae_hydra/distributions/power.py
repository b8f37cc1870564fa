"""Powers of densities, and their integrals in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Laplace, Normal
from torch.nn.functional import logsigmoid

from vae_hydra.distributions.continuous_bernoulli import ContinuousBernoulli
from vae_hydra.distributions.hyperbolic_secant import HyperbolicSecant
from vae_hydra.distributions.student_t import StudentT


class NoPowerIntegral(ValueError):
    """A family for which the integral of a power of the density has no known closed form."""


def log_power(p: Distribution, x: Tensor, power: float) -> Tensor:
    """ln p(x)^a of each value.

    A Bernoulli takes x between 0 and 1 too: ln[x·π^a + (1 − x)·(1 − π)^a].
    """
    if not isinstance(p, Bernoulli):
        return power * p.log_prob(x)
    ones, zeros = power * logsigmoid(p.logits), power * logsigmoid(-p.logits)
    return torch.logaddexp(x.log() + ones, torch.log1p(-x) + zeros)


def log_power_integral(p: Distribution, power: float) -> Tensor:
    """ln ∫ p(x)^a dx of each value, for a ≥ 1, of batch_shape; a sum over x for a Bernoulli.

    Raises:
        NoPowerIntegral: for a family that is not in the table below.

    >>> log_power_integral(Normal(torch.zeros(1), 1.0), 2.0).exp()  # 1/(2·√π)
    tensor([0.2821])
    """
    for base in type(p).__mro__:
        if base in _LOG_INTEGRALS:
            return _LOG_INTEGRALS[base](p, power).expand(p.batch_shape)
    raise NoPowerIntegral(f"no closed form of the integral of a power of {type(p).__name__} is known")


def _of_standard(log_density_at_mode: Tensor, scale: Tensor, power: float, log_integral: Tensor | float) -> Tensor:
    """a·ln p(mode) + ln s + ln ∫ (f(u)/f(0))^a du, of a family of location and scale with the standard density f."""
    return power * log_density_at_mode + scale.log() + log_integral


def _normal(p: Normal, power: float) -> Tensor:
    """−(a − 1)·ln(s·√(2π)) − ½·ln a."""
    return -(power - 1) * (p.scale.log() + 0.5 * math.log(2 * math.pi)) - 0.5 * math.log(power)


def _laplace(p: Laplace, power: float) -> Tensor:
    """−(a − 1)·ln 2s − ln a."""
    return -(power - 1) * (2 * p.scale).log() - math.log(power)


def _student_t(p: StudentT, power: float) -> Tensor:
    """With ∫ (1 + u²/ν)^(−a·(ν + 1)/2) du = √ν·B(½, (a·(ν + 1) − 1)/2)."""
    half = 0.5 * (power * (p.df + 1) - 1)
    log_beta = 0.5 * math.log(math.pi) + torch.lgamma(half) - torch.lgamma(half + 0.5)
    return _of_standard(p.log_prob(p.loc), p.scale, power, 0.5 * p.df.log() + log_beta)


def _hyperbolic_secant(p: HyperbolicSecant, power: float) -> Tensor:
    """With ∫ sech(u)^a du = B(½, a/2)."""
    log_beta = 0.5 * math.log(math.pi) + math.lgamma(0.5 * power) - math.lgamma(0.5 * power + 0.5)
    return _of_standard(p.log_prob(p.loc), p.scale, power, log_beta)


def _bernoulli(p: Bernoulli, power: float) -> Tensor:
    """ln[π^a + (1 − π)^a]."""
    return torch.logaddexp(power * logsigmoid(p.logits), power * logsigmoid(-p.logits))


def _continuous_bernoulli(p: ContinuousBernoulli, power: float) -> Tensor:
    """p^a is proportional to the density with a times the logit: compare both at the middle."""
    middle = torch.full_like(p.logits, 0.5)
    steeper = ContinuousBernoulli(logits=power * p.logits, validate_args=False)
    return power * p.log_prob(middle) - steeper.log_prob(middle)


_LOG_INTEGRALS: dict[type[Distribution], Callable[[Any, float], Tensor]] = {
    Normal: _normal,
    Laplace: _laplace,
    StudentT: _student_t,
    HyperbolicSecant: _hyperbolic_secant,
    Bernoulli: _bernoulli,
    ContinuousBernoulli: _continuous_bernoulli,
}
