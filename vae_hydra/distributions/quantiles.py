"""Quantiles of every family, also of those for which torch has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from scipy import special
from torch import Tensor
from torch.distributions import Distribution, Gamma

from vae_hydra.distributions.special import by_scipy

# Families of torch that have no icdf → theirs.
_QUANTILES: dict[type[Distribution], Callable[[Any, Tensor], Tensor]] = {
    Gamma: lambda q, probability: by_scipy(special.gammaincinv, q.concentration, probability) / q.rate,
}


class NoQuantiles(ValueError):
    """A family whose quantiles are not known."""


def quantile(distribution: Distribution, probability: Tensor) -> Tensor:
    """F⁻¹(p), for p in (0, 1) that broadcast with batch_shape; without a gradient.

    Raises:
        NoQuantiles: for a family without ``icdf`` and without an entry in the table above.
    """
    icdf = _QUANTILES.get(type(distribution), lambda q, probability: q.icdf(probability))
    try:
        with torch.no_grad():
            return icdf(distribution, probability)
    except NotImplementedError as error:
        raise NoQuantiles(f"{type(distribution).__name__} has no quantiles: give it a method icdf") from error
