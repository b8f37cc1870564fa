"""Quantiles of every family, including families without an ``icdf`` in torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from scipy import special
from torch import Tensor
from torch.distributions import Beta, Distribution, Gamma, Laplace, LogNormal, Normal, Weibull
from torch.distributions import StudentT as TorchStudentT

from vae_hydra.distributions.special import by_scipy


def _normal(q: Normal | LogNormal, p: Tensor) -> Tensor:
    return q.loc + q.scale * torch.special.ndtri(p)


def _laplace(q: Laplace, p: Tensor) -> Tensor:
    return q.loc + q.scale * torch.where(p < 0.5, (2 * p).log(), -(2 * (1 - p)).log())


def _weibull(q: Weibull, p: Tensor) -> Tensor:
    return q.scale * (-torch.log1p(-p)).pow(q.concentration.reciprocal())


# torch's families without an icdf, or with one that is inaccurate or infinite in the lower tail.
_QUANTILES: dict[type[Distribution], Callable[[Any, Tensor], Tensor]] = {
    Beta: lambda q, p: by_scipy(special.betaincinv, q.concentration1, q.concentration0, p),
    Gamma: lambda q, p: by_scipy(special.gammaincinv, q.concentration, p) / q.rate,
    Laplace: _laplace,
    LogNormal: lambda q, p: _normal(q, p).exp(),
    Normal: _normal,
    TorchStudentT: lambda q, p: q.loc + q.scale * by_scipy(special.stdtrit, q.df, p),
    Weibull: _weibull,
}


class NoQuantiles(ValueError):
    """A family whose quantiles are not known."""


def quantile(distribution: Distribution, probability: Tensor) -> Tensor:
    """F⁻¹(p), for p in (0, 1) that broadcasts with batch_shape; without a gradient.

    Raises:
        NoQuantiles: for a family without an ``icdf`` and without an entry in the table above.

    >>> quantile(Normal(torch.tensor([0.0, 1.0]), 1.0), torch.tensor([[0.5], [0.975]]))
    tensor([[0.0000, 1.0000],
            [1.9600, 2.9600]])
    """
    try:
        with torch.no_grad():
            return _inverse(type(distribution))(distribution, probability)
    except NotImplementedError as error:
        raise NoQuantiles(f"{type(distribution).__name__} has no quantiles: give it a method icdf") from error


def _inverse(family: type[Distribution]) -> Callable[[Any, Tensor], Tensor]:
    """The nearest of ``_QUANTILES`` and ``icdf`` methods among a family and its base classes."""
    base = next(base for base in family.__mro__ if base in _QUANTILES or "icdf" in vars(base))
    return _QUANTILES.get(base, family.icdf)
