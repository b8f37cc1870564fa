"""Quantiles of every family, also of those for which torch has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Distribution, Gamma

from vae_hydra.distributions.inverse_gaussian import InverseGaussian
from vae_hydra.distributions.student_t import StudentT

# Family → scipy's, from parameters in double precision.
SCIPY_FAMILIES: dict[type[Distribution], Callable[..., Any]] = {
    Gamma: lambda concentration, rate: stats.gamma(concentration, scale=1 / rate),
    InverseGaussian: lambda loc, concentration: stats.invgauss(loc / concentration, scale=concentration),
    StudentT: lambda df, loc, scale: stats.t(df, loc, scale),
}


def quantile(distribution: Distribution, probability: Tensor) -> Tensor:
    """F⁻¹(p), for p in (0, 1) that broadcast with batch_shape; without a gradient.

    Raises:
        ValueError: for a family whose quantiles neither torch nor scipy is asked for here.
    """
    if type(distribution) in SCIPY_FAMILIES:
        return _by_scipy(distribution, probability)
    try:
        with torch.no_grad():
            return distribution.icdf(probability)
    except NotImplementedError as error:
        raise ValueError(f"{type(distribution).__name__} has no quantiles: give it a method icdf") from error


def _by_scipy(distribution: Distribution, probability: Tensor) -> Tensor:
    values = [getattr(distribution, name) for name in distribution.arg_constraints]
    family = SCIPY_FAMILIES[type(distribution)](*(value.detach().cpu().double().numpy() for value in values))
    found = family.ppf(probability.detach().cpu().double().numpy())
    return torch.as_tensor(found).to(values[0])
