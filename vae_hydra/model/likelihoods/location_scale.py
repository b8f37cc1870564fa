"""Likelihoods with a location and a scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Laplace, Normal

from vae_hydra.base import checks
from vae_hydra.distributions import HomoscedasticNormal, Huber, HyperbolicSecant
from vae_hydra.model.likelihoods.base import Likelihood, checked_learning

LOCATION_MAPS = {"identity": nn.Identity, "sigmoid": nn.Sigmoid}


class LocationScaleLikelihood(Likelihood):
    """A density around the decoder's output.

    A learned scale is min_scale + exp(parameter). Without the minimum, a pixel with the same value in all
    examples would drive its scale to 0 and its density to infinity.

    Args:
        scale: the scale > 0, in the units of x; a learned scale starts from it.
        learn_scale: ``false``; ``true`` for one learned scale; ``per_pixel`` for one learned scale for each
            value of x; ``predicted`` for min_scale + (scale − min_scale)·exp(feature), with a second
            decoder feature for each value.
        location: ``identity``, or ``sigmoid`` to keep the location in (0, 1).
        min_scale: least learned scale, > 0 and below ``scale``.
        x_shape: shape of one example.

    Raises:
        ValueError: for an option out of its range, or a scale per value without an ``x_shape``.
    """

    fixed_scale: Tensor
    log_excess: Tensor

    def __init__(
        self,
        scale: float = 1.0,
        learn_scale: bool | str = False,
        location: str = "identity",
        min_scale: float = 1e-3,
        x_shape: Sequence[int] = (),
    ) -> None:
        super().__init__(x_shape)
        self.location = LOCATION_MAPS[checks.one_of("likelihood.location", location, LOCATION_MAPS)]()
        self.unit_interval = location == "sigmoid"
        self.learn_scale = checked_learning("learn_scale", learn_scale, self.x_shape)
        self.min_scale = checks.positive("likelihood.min_scale", min_scale)
        self._start(checks.positive("likelihood.scale", scale))

    def _start(self, scale: float) -> None:
        """Register the fixed scale, or the parameter of a learned one."""
        if self.learn_scale is False:
            self.register_buffer("fixed_scale", torch.tensor(scale), persistent=False)
            return
        if scale <= self.min_scale:
            raise ValueError(f"likelihood.scale must be a number > min_scale = {self.min_scale}, but got {scale!r}")
        self._register("log_excess", math.log(scale - self.min_scale), self.learn_scale)

    @property
    def scale(self) -> Tensor:
        """The current scale, of shape [] or, per pixel, x_shape; a predicted one at the feature 0."""
        return self.fixed_scale if self.learn_scale is False else self._scale_of(self.log_excess)

    def _scale_of(self, log_excess: Tensor) -> Tensor:
        return self.min_scale + log_excess.exp()

    def location_and_scale(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The location [..., *x_shape], and a scale that broadcasts with it."""
        parts = self._parts(features)
        scale = self.fixed_scale if self.learn_scale is False else self._scale_of(self._value("log_excess", parts))
        return self.location(parts[0]), scale


class GaussianLikelihood(LocationScaleLikelihood):
    """p(x|z) = Normal(x̂, scale): with scale 1, −log p is half-SSE + (D/2)·ln 2π nats.

    >>> p = GaussianLikelihood(scale=1.0)(torch.zeros(5, 2))
    >>> p.log_prob(torch.tensor([3.0, 4.0])).sum(-1)[0]  # −25/2 − ln 2π
    tensor(-14.3379)
    """

    def forward(self, features: Tensor) -> Distribution:
        location, scale = self.location_and_scale(features)
        # A scale of each member of a stack ends in ones.
        one_per_example = (
            all(size == 1 for size in scale.shape[-len(self.x_shape) :]) if self.x_shape else not scale.dim()
        )
        family = HomoscedasticNormal if one_per_example else Normal
        return family(location, scale, validate_args=False)


class LaplaceLikelihood(LocationScaleLikelihood):
    """p(x|z) = Laplace(x̂, scale): −log p is the L1 distance over the scale, plus a constant.

    >>> p = LaplaceLikelihood(scale=0.5)(torch.zeros(2))
    >>> p.log_prob(p.mean) - p.log_prob(torch.tensor([3.0, 4.0]))
    tensor([6., 8.])
    """

    def forward(self, features: Tensor) -> Distribution:
        return Laplace(*self.location_and_scale(features), validate_args=False)


class HuberLikelihood(LocationScaleLikelihood):
    """p(x|z) = Huber(x̂, scale, threshold): with scale 1, −log p is Huber's loss plus a constant.

    Args:
        scale, options: as for ``LocationScaleLikelihood``.
        threshold: where the loss turns from quadratic to linear, > 0, in units of the scale. The default
            keeps 95 % of the mean's efficiency for Normal data (Holland and Welsch, "Robust regression using
            iteratively reweighted least-squares", 1977).

    >>> p = HuberLikelihood(scale=1.0, threshold=1.0)(torch.zeros(2))
    >>> p.log_prob(p.mean) - p.log_prob(torch.tensor([1.0, 3.0]))
    tensor([0.5000, 2.5000])
    """

    threshold: Tensor

    def __init__(self, scale: float = 1.0, threshold: float = 1.345, **options: Any) -> None:
        super().__init__(scale, **options)
        value = torch.tensor(checks.positive("likelihood.threshold", threshold))
        self.register_buffer("threshold", value, persistent=False)

    def forward(self, features: Tensor) -> Distribution:
        return Huber(*self.location_and_scale(features), self.threshold, validate_args=False)


class LogCoshLikelihood(LocationScaleLikelihood):
    """p(x|z) = HyperbolicSecant(x̂, scale): −log p is ln cosh((x − x̂)/scale) plus a constant.

    >>> p = LogCoshLikelihood(scale=1.0)(torch.zeros(2))
    >>> p.log_prob(p.mean) - p.log_prob(torch.tensor([1.0, 2.0]))
    tensor([0.4338, 1.3250])
    """

    def forward(self, features: Tensor) -> Distribution:
        return HyperbolicSecant(*self.location_and_scale(features), validate_args=False)
