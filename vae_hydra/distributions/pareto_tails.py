"""A Normal body with generalised Pareto tails."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import constraints

from vae_hydra.distributions.location_scale import LocationScale
from vae_hydra.distributions.special import normal_cdf

_ROOT = math.sqrt(2 * math.pi)


class ParetoTails(LocationScale):
    r"""A Normal body within ``threshold`` scales of the location, and a generalised Pareto tail on either side.

    .. math:: p(x) = e^{-u^2 / 2} / (s Z) \text{ for } |u| \le \delta, \quad
        e^{-\delta^2 / 2} \, (1 + \xi (|u| - \delta) / \beta)^{-1 / \xi - 1} / (s Z) \text{ beyond}, \quad
        u = (x - m) / s

    .. math:: Z = \sqrt{2\pi}\, (2\Phi(\delta) - 1) + 2 \beta e^{-\delta^2 / 2}

    The density is continuous. With β = (1 + ξ)/δ its slope is continuous too, and as ξ → 0 it becomes ``Huber``,
    with exponential tails. P(|x| > t) falls as t^(−1/ξ).

    Args:
        loc: median and mode m, broadcast with the others to batch_shape; the mean if ξ < 1.
        scale: s > 0; the variance is finite if ξ < ½.
        threshold: δ > 0, where a tail begins, in units of ``scale``.
        tail_shape: ξ > 0, the reciprocal of the tail index.
        tail_scale: β > 0, of the tail, in units of ``scale``; None for (1 + ξ)/δ.

    Raises:
        ValueError: if a parameter other than ``loc`` is not positive (with ``validate_args``).

    Source of the tail: Pickands, "Statistical inference using extreme order statistics", 1975.

    >>> p = ParetoTails(torch.zeros(3), 1.0, threshold=1.0, tail_shape=0.5)
    >>> p.rsample((5,)).shape
    torch.Size([5, 3])
    >>> p.variance
    tensor([inf, inf, inf])
    """

    arg_constraints = {
        **LocationScale.arg_constraints,
        "threshold": constraints.positive,
        "tail_shape": constraints.positive,
        "tail_scale": constraints.positive,
    }
    threshold: Tensor
    tail_shape: Tensor
    tail_scale: Tensor
    _sides = 2

    def __init__(
        self,
        loc: Tensor | float,
        scale: Tensor | float,
        threshold: Tensor | float = 2.0,
        tail_shape: Tensor | float = 0.3,
        tail_scale: Tensor | float | None = None,
        validate_args: bool | None = None,
    ) -> None:
        tail_scale = (1 + tail_shape) / threshold if tail_scale is None else tail_scale
        tails = {"threshold": threshold, "tail_shape": tail_shape, "tail_scale": tail_scale}
        super().__init__(validate_args, loc=loc, scale=scale, **tails)

    @property
    def mean(self) -> Tensor:
        """m for ξ < 1, else NaN."""
        return torch.where(self.tail_shape < 1, self.loc, torch.nan).expand(self.batch_shape)

    @property
    def _edge(self) -> Tensor:
        return torch.exp(-0.5 * self.threshold.square())

    @property
    def _body(self) -> Tensor:
        """The integral of e^(−u²/2) over the body."""
        return _ROOT * torch.erf(self.threshold / math.sqrt(2))

    @property
    def _normaliser(self) -> Tensor:
        return self._body + self._sides * self._edge * self.tail_scale

    @property
    def _one_tail(self) -> Tensor:
        """P(u > δ), kept above 0 for its logarithm."""
        return (self._edge * self.tail_scale / self._normaliser).clamp(min=torch.finfo(self.threshold.dtype).tiny)

    def _log_density(self, u: Tensor) -> Tensor:
        return self._log_unnormalised(u.abs()) - self._normaliser.log()

    def _log_unnormalised(self, outward: Tensor) -> Tensor:
        """ln of the density before its normaliser, where a tail begins at outward = δ."""
        inside = torch.minimum(outward, self.threshold)
        return -0.5 * inside.square() - (1 / self.tail_shape + 1) * self._log_growth(outward)

    def _log_growth(self, outward: Tensor) -> Tensor:
        """ln(1 + ξ·(outward − δ)/β), and 0 in the body: −ξ·ln of the tail's survival function."""
        return torch.log1p(self.tail_shape / self.tail_scale * (outward - self.threshold).clamp(min=0))

    def _tail(self, outward: Tensor) -> Tensor:
        """P(u > outward) for outward ≥ δ."""
        return self._one_tail * torch.exp(-self._log_growth(outward) / self.tail_shape)

    def _outward(self, tail: Tensor) -> Tensor:
        """The inverse of ``_tail``; δ for a larger tail."""
        log_survival = (tail / self._one_tail).clamp(max=1).log()
        return self.threshold + self.tail_scale * torch.expm1(-self.tail_shape * log_survival) / self.tail_shape

    def _variance(self) -> Tensor:
        return torch.where(self.tail_shape < 0.5, self._second_moment(), torch.inf)

    def _second_moment(self) -> Tensor:
        """E[u²] for ξ < ½: the body by parts, the tail by the moments of the generalised Pareto distribution."""
        delta, beta, left = self.threshold, self.tail_scale, 1 - self.tail_shape
        tail = delta.square() + 2 * delta * beta / left + 2 * beta.square() / (left * (1 - 2 * self.tail_shape))
        body = self._body - self._sides * delta * self._edge
        return (body + self._sides * self._edge * beta * tail) / self._normaliser

    def _entropy(self) -> Tensor:
        """ln Z + ½ + P(tails)·(½ + ξ + δ²/2 − δ/(2β)): E[−ln of a tail's survival function] is 1."""
        delta = self.threshold
        per_tail = 0.5 + self.tail_shape + 0.5 * (delta.square() - delta / self.tail_scale)
        return self._normaliser.log() + 0.5 + self._sides * self._one_tail * per_tail

    def _lower_tail(self, distance: Tensor) -> Tensor:
        within = normal_cdf(-torch.minimum(distance, self.threshold)) - normal_cdf(-self.threshold)
        return self._tail(distance) + _ROOT / self._normaliser * within

    def _distance(self, tail: Tensor) -> Tensor:
        excess = (tail - self._one_tail).clamp(min=0) * self._normaliser / _ROOT
        within = -torch.special.ndtri(normal_cdf(-self.threshold) + excess)
        return torch.where(tail < self._one_tail, self._outward(tail), within)


class UpperParetoTail(ParetoTails):
    r"""A Normal body up to ``threshold`` scales above the location, and a generalised Pareto tail beyond.

    The density is that of ``ParetoTails`` with u in place of |u|, and Z = √(2π)·Φ(δ) + β·e^(−δ²/2).

    Args:
        loc: mode m.
        other parameters: as for ``ParetoTails``. The mean is infinite if ξ ≥ 1, the variance if ξ ≥ ½.

    >>> UpperParetoTail(torch.tensor(0.0), 1.0, threshold=1.0, tail_shape=torch.tensor([0.5, 1.0])).mean
    tensor([1.0046,    inf])
    """

    _sides = 1

    @property
    def mean(self) -> Tensor:
        """m + s·E[u], infinite for ξ ≥ 1."""
        return (self.loc + self.scale * self._mean()).expand(self.batch_shape)

    def _mean(self) -> Tensor:
        """E[u] = e^(−δ²/2)·(β·(δ + β/(1 − ξ)) − 1)/Z."""
        tail = self.tail_scale * (self.threshold + self.tail_scale / (1 - self.tail_shape)) - 1
        return torch.where(self.tail_shape < 1, self._edge * tail / self._normaliser, torch.inf)

    def _variance(self) -> Tensor:
        return torch.where(self.tail_shape < 0.5, self._second_moment() - self._mean().square(), torch.inf)

    @property
    def _body(self) -> Tensor:
        return _ROOT * normal_cdf(self.threshold)

    def _log_density(self, u: Tensor) -> Tensor:
        return self._log_unnormalised(u) - self._normaliser.log()

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        u = (value - self.loc) / self.scale
        below = _ROOT / self._normaliser * normal_cdf(torch.minimum(u, self.threshold))
        return torch.where(u < self.threshold, below, 1 - self._tail(u))

    def _standard_icdf(self, value: Tensor) -> Tensor:
        highest = normal_cdf(self.threshold)
        within = torch.special.ndtri(torch.minimum(value * self._normaliser / _ROOT, highest))
        return torch.where(value < 1 - self._one_tail, within, self._outward(1 - value))
