"""The hyperbolic secant distribution, whose −log p is the log-cosh loss."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vae_hydra.distributions.location_scale import LocationScale


class HyperbolicSecant(LocationScale):
    r"""A density with a centre like the Normal's and tails like the Laplace's.

    .. math:: p(x) = \frac{1}{\pi s}\, \mathrm{sech}\, \frac{x - m}{s}

    Args:
        loc: mean, median and mode m, broadcast with ``scale`` to batch_shape.
        scale: s > 0; the variance is (π·s/2)².

    Raises:
        ValueError: if ``scale`` is not positive (with ``validate_args``).

    Source: Fischer, "Generalized hyperbolic secant distributions", 2014; its standard form has s = 2/π.

    >>> p = HyperbolicSecant(torch.zeros(3), 1.0)
    >>> p.rsample((5,)).shape
    torch.Size([5, 3])
    >>> p.log_prob(torch.zeros(3)) - p.log_prob(torch.tensor([0.0, 1.0, 2.0]))  # ln cosh
    tensor([0.0000, 0.4338, 1.3250])
    """

    def __init__(self, loc: Tensor | float, scale: Tensor | float, validate_args: bool | None = None) -> None:
        super().__init__(validate_args, loc=loc, scale=scale)

    def _log_density(self, u: Tensor) -> Tensor:
        """−ln cosh u − ln π, with ln cosh u = |u| + ln(1 + e^(−2|u|)) − ln 2, which does not overflow."""
        size = u.abs()
        return math.log(2 / math.pi) - size - torch.nn.functional.softplus(-2 * size)

    def _variance(self) -> float:
        return math.pi**2 / 4

    def _entropy(self) -> float:
        """ln 2π: E[ln cosh u] = ln 2, as the integral of ln cos over a quarter turn is −(π/2)·ln 2."""
        return math.log(2 * math.pi)

    def _lower_tail(self, distance: Tensor) -> Tensor:
        return 2 / math.pi * torch.atan(torch.exp(-distance))

    def _distance(self, tail: Tensor) -> Tensor:
        return -torch.tan(math.pi / 2 * tail).log()
