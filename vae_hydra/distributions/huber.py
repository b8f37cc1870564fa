"""The Huber distribution, whose −log p is Huber's loss."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import constraints

from vae_hydra.distributions.location_scale import LocationScale
from vae_hydra.distributions.special import normal_cdf


class Huber(LocationScale):
    r"""A Normal centre with Laplace tails, joined at ``threshold`` scales from the location.

    .. math:: p(x) = \exp(-\rho(u)) / (s Z), \quad u = (x - m) / s, \quad
        \rho(u) = u^2 / 2 \text{ for } |u| \le \delta, \quad \delta |u| - \delta^2 / 2 \text{ beyond}

    .. math:: Z = \sqrt{2\pi}\, (2\Phi(\delta) - 1) + (2 / \delta)\, e^{-\delta^2 / 2}

    Args:
        loc: mean, median and mode m, broadcast with the others to batch_shape.
        scale: s > 0.
        threshold: δ > 0, where the loss turns from quadratic to linear, in units of ``scale``.

    Raises:
        ValueError: if ``scale`` or ``threshold`` is not positive (with ``validate_args``).

    Source: Huber, "Robust estimation of a location parameter", 1964: the least favourable distribution
    among contaminated Normals.

    >>> p = Huber(torch.zeros(3), 1.0, threshold=1.0)
    >>> p.rsample((5,)).shape
    torch.Size([5, 3])
    >>> p.log_prob(torch.zeros(3)) - p.log_prob(torch.tensor([0.0, 1.0, 3.0]))  # u²/2 up to 1, then |u| − ½
    tensor([0.0000, 0.5000, 2.5000])
    """

    arg_constraints = {**LocationScale.arg_constraints, "threshold": constraints.positive}
    threshold: Tensor

    def __init__(
        self,
        loc: Tensor | float,
        scale: Tensor | float,
        threshold: Tensor | float = 1.345,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(validate_args, loc=loc, scale=scale, threshold=threshold)

    @property
    def _normaliser(self) -> Tensor:
        centre = math.sqrt(2 * math.pi) * torch.erf(self.threshold / math.sqrt(2))
        return centre + 2 / self.threshold * torch.exp(-0.5 * self.threshold.square())

    @property
    def _one_tail(self) -> Tensor:
        """P(u < −δ)."""
        return torch.exp(-0.5 * self.threshold.square()) / (self.threshold * self._normaliser)

    def _log_density(self, u: Tensor) -> Tensor:
        size = u.abs()
        quadratic = torch.minimum(size, self.threshold)
        return -quadratic * (size - 0.5 * quadratic) - self._normaliser.log()

    def _variance(self) -> Tensor:
        """1 + 2·P(u < −δ)·(1 + 2/δ²), by parts on both sides of the threshold."""
        return 1 + 2 * self._one_tail * (1 + 2 / self.threshold.square())

    def _entropy(self) -> Tensor:
        """½ + P(u < −δ) + ln Z, by parts like the variance."""
        return 0.5 + self._one_tail + self._normaliser.log()

    def _lower_tail(self, distance: Tensor) -> Tensor:
        beyond = (distance - self.threshold).clamp(min=0)
        within = normal_cdf(-torch.minimum(distance, self.threshold)) - normal_cdf(-self.threshold)
        return self._one_tail * torch.exp(-self.threshold * beyond) + math.sqrt(2 * math.pi) / self._normaliser * within

    def _distance(self, tail: Tensor) -> Tensor:
        beyond = -(tail / self._one_tail).log() / self.threshold
        excess = (tail - self._one_tail).clamp(min=0) * self._normaliser / math.sqrt(2 * math.pi)
        within = -torch.special.ndtri(normal_cdf(-self.threshold) + excess)
        return torch.where(tail < self._one_tail, self.threshold + beyond, within)
