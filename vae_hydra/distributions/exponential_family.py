"""Log-densities of many distributions of an exponential family at many points, as matrix products."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Beta, Distribution, Gamma, LogNormal, Normal

from vae_hydra.distributions.inverse_gaussian import InverseGaussian
from vae_hydra.distributions.von_mises_fisher import VonMisesFisher


class _NaturalForm(NamedTuple):
    """ln f(z) = Σᵢ ηᵢ·Tᵢ(z) − A + ln h(z), in double precision.

    Attributes:
        parameters: the ηᵢ, each [..., K, L].
        statistics: the Tᵢ(z), each [..., L].
        log_partition: A, [..., K, L], or [..., K, 1] for all values of a vector together.
        log_base: ln h(z), [..., L].
    """

    parameters: tuple[Tensor, ...]
    statistics: tuple[Tensor, ...]
    log_partition: Tensor
    log_base: Tensor


def log_densities(components: Distribution, z: Tensor) -> Tensor | None:
    """Σⱼ ln fₖⱼ(zⱼ) of shape [..., K], for z [..., L] and K distributions of L independent values or of unit vectors.

    The components have the batch_shape [..., K, L], or [..., K] for vectors; leading axes broadcast with those of z. An
    array of points × components × L is never made. The products are in double precision: single precision would lose
    what remains of large terms, such as z²/σ² − 2·z·μ/σ² + μ²/σ² where z is near μ and σ is small.

    Returns:
        None for a family without this form, or a device without double precision.
    """
    natural = _FORMS.get(type(components))
    if natural is None or z.device.type == "mps":
        return None
    form = natural(components, z.double())
    total = form.log_base.sum(-1, keepdim=True) - form.log_partition.sum(-1)
    for parameter, statistic in zip(form.parameters, form.statistics, strict=True):
        total = total + _product(statistic, parameter)
    return total.to(z.dtype)


def has_natural_form(components: Distribution) -> bool:
    """Whether ``log_densities`` knows the family."""
    return type(components) in _FORMS


def _product(statistic: Tensor, parameter: Tensor) -> Tensor:
    """Σⱼ of a statistic [..., L] and a parameter [..., K, L], of shape [..., K]."""
    if parameter.dim() == 2:
        return statistic @ parameter.mT
    if parameter.shape[-3] == 1 and statistic.dim() > 1:
        # One product for all points that share their components.
        return statistic @ parameter.squeeze(-3).mT
    return (statistic.unsqueeze(-2) @ parameter.mT).squeeze(-2)


def _normal(p: Any, z: Tensor) -> _NaturalForm:
    loc, scale = p.loc.double(), p.scale.double()
    precision = scale.square().reciprocal()
    log_partition = loc.square() * precision / 2 + scale.log() + math.log(2 * math.pi) / 2
    return _NaturalForm((loc * precision, -precision / 2), (z, z.square()), log_partition, torch.zeros_like(z))


def _lognormal(p: Any, z: Tensor) -> _NaturalForm:
    log = z.log()
    return _normal(p, log)._replace(log_base=-log)


def _gamma(p: Any, z: Tensor) -> _NaturalForm:
    concentration, rate = p.concentration.double(), p.rate.double()
    log_partition = concentration.lgamma() - concentration * rate.log()
    return _NaturalForm((concentration - 1, -rate), (z.log(), z), log_partition, torch.zeros_like(z))


def _inverse_gaussian(p: Any, z: Tensor) -> _NaturalForm:
    loc, concentration = p.loc.double(), p.concentration.double()
    parameters = (-concentration / (2 * loc.square()), -concentration / 2)
    log_partition = -concentration / loc - (concentration / (2 * math.pi)).log() / 2
    return _NaturalForm(parameters, (z, z.reciprocal()), log_partition, -1.5 * z.log())


def _beta(p: Any, z: Tensor) -> _NaturalForm:
    first, second = p.concentration1.double(), p.concentration0.double()
    log_partition = first.lgamma() + second.lgamma() - (first + second).lgamma()
    return _NaturalForm((first - 1, second - 1), (z.log(), torch.log1p(-z)), log_partition, torch.zeros_like(z))


def _von_mises_fisher(p: Any, z: Tensor) -> _NaturalForm:
    direction = p.concentration.double().unsqueeze(-1) * p.loc.double()
    return _NaturalForm((direction,), (z,), -p.log_normaliser.unsqueeze(-1), torch.zeros_like(z))


_FORMS: dict[type[Distribution], Callable[[Any, Tensor], _NaturalForm]] = {
    Normal: _normal,
    LogNormal: _lognormal,
    Gamma: _gamma,
    InverseGaussian: _inverse_gaussian,
    Beta: _beta,
    VonMisesFisher: _von_mises_fisher,
}
