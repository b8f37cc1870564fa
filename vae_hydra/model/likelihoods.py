"""Likelihoods: decoder features → p(x|z), a torch Distribution over the values of x."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Laplace, Normal

from vae_hydra.base import checks
from vae_hydra.distributions import ContinuousBernoulli, HomoscedasticNormal, Huber, HyperbolicSecant, StudentT

LOCATION_MAPS = {"identity": nn.Identity, "sigmoid": nn.Sigmoid}
# Options of learn_scale besides false and true, which is one scale for all values.
SCALES_PER_VALUE = ("per_pixel", "predicted")


class Likelihood(nn.Module, ABC):
    """Turn decoder features into p(x|z), of the same shape as x: [..., *x_shape].

    Args:
        x_shape: shape of one example.

    Attributes:
        parameters_per_value: number of decoder features for each value of x; the first axis of the decoder's
            output is this many times that of x.
        unit_interval: whether x must lie in [0, 1], like the mean of p(x|z).
        needs_binary_to_be_normalised: whether p(x|z) is normalised only for x in {0, 1}.
    """

    parameters_per_value = 1
    unit_interval = False
    needs_binary_to_be_normalised = False

    def __init__(self, x_shape: Sequence[int] = ()) -> None:
        super().__init__()
        self.x_shape = tuple(x_shape)

    @abstractmethod
    def forward(self, features: Tensor) -> Distribution:
        """p(x|z) of batch_shape [..., *x_shape] from features [..., parameters_per_value·x_shape[0], *x_shape[1:]]."""


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
        self.learn_scale = _learn_scale(learn_scale, self.x_shape)
        self.min_scale = checks.positive("likelihood.min_scale", min_scale)
        self._start(checks.positive("likelihood.scale", scale))

    def _start(self, scale: float) -> None:
        """Register the fixed scale, or the parameter of a learned one."""
        if self.learn_scale is False:
            self.register_buffer("fixed_scale", torch.tensor(scale), persistent=False)
            return
        if scale <= self.min_scale:
            raise ValueError(f"likelihood.scale must be a number > min_scale = {self.min_scale}, but got {scale!r}")
        log_excess = torch.tensor(math.log(scale - self.min_scale))
        if self.learn_scale == "predicted":
            self.parameters_per_value = 2
            self.register_buffer("log_excess", log_excess, persistent=False)
        else:
            shape = self.x_shape if self.learn_scale == "per_pixel" else ()
            self.log_excess = nn.Parameter(log_excess.expand(shape).clone())

    @property
    def scale(self) -> Tensor:
        """The current scale, of shape [] or, per pixel, x_shape; a predicted one at the feature 0."""
        return self.fixed_scale if self.learn_scale is False else self._scale_of(self.log_excess)

    def _scale_of(self, log_excess: Tensor) -> Tensor:
        return self.min_scale + log_excess.exp()

    def location_and_scale(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The location [..., *x_shape], and a scale that broadcasts with it."""
        if self.learn_scale != "predicted":
            return self.location(features), self.scale
        location, log_ratio = features.chunk(2, dim=-len(self.x_shape))
        return self.location(location), self._scale_of(self.log_excess + log_ratio)


class GaussianLikelihood(LocationScaleLikelihood):
    """p(x|z) = Normal(x̂, scale): with scale 1, −log p is half-SSE + (D/2)·ln 2π nats.

    >>> p = GaussianLikelihood(scale=1.0)(torch.zeros(5, 2))
    >>> p.log_prob(torch.tensor([3.0, 4.0])).sum(-1)[0]  # −25/2 − ln 2π
    tensor(-14.3379)
    """

    def forward(self, features: Tensor) -> Distribution:
        location, scale = self.location_and_scale(features)
        family = Normal if scale.dim() else HomoscedasticNormal
        return family(location, scale, validate_args=False)


class LaplaceLikelihood(LocationScaleLikelihood):
    """p(x|z) = Laplace(x̂, scale): −log p is the L1 distance over the scale, plus a constant.

    >>> p = LaplaceLikelihood(scale=0.5)(torch.zeros(2))
    >>> p.log_prob(p.mean) - p.log_prob(torch.tensor([3.0, 4.0]))
    tensor([6., 8.])
    """

    def forward(self, features: Tensor) -> Distribution:
        return Laplace(*self.location_and_scale(features), validate_args=False)


class StudentTLikelihood(LocationScaleLikelihood):
    """p(x|z) = StudentT(df, x̂, scale): −log p grows as (df + 1)·ln|x − x̂|, so outliers have little weight.

    Args:
        scale, options: as for ``LocationScaleLikelihood``.
        df: degrees of freedom > 1, for p(x|z) to have a mean: a reconstruction is that mean.

    >>> StudentTLikelihood(scale=1.0, df=3.0)(torch.zeros(2)).variance  # df/(df − 2)
    tensor([3., 3.])
    """

    df: Tensor

    def __init__(self, scale: float = 1.0, df: float = 4.0, **options: Any) -> None:
        super().__init__(scale, **options)
        if checks.positive("likelihood.df", df) <= 1:
            raise ValueError(f"likelihood.df must be a number > 1, for p(x|z) to have a mean, but got {df!r}")
        self.register_buffer("df", torch.tensor(float(df)), persistent=False)

    def forward(self, features: Tensor) -> Distribution:
        return StudentT(self.df, *self.location_and_scale(features), validate_args=False)


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


class BernoulliLikelihood(Likelihood):
    """p(x|z) = Bernoulli with the decoder's output as logits.

    For x strictly between 0 and 1, −log p is the usual binary cross-entropy, which is not that of a normalised
    density. ``ContinuousBernoulliLikelihood`` is normalised on [0, 1].

    >>> BernoulliLikelihood()(torch.zeros(2)).log_prob(torch.tensor([1.0, 0.5]))  # −ln 2
    tensor([-0.6931, -0.6931])
    """

    unit_interval = True
    needs_binary_to_be_normalised = True

    def forward(self, features: Tensor) -> Distribution:
        return Bernoulli(logits=features, validate_args=False)


class ContinuousBernoulliLikelihood(Likelihood):
    """p(x|z) = ContinuousBernoulli with the decoder's output as logits, a density on [0, 1].

    Source: Loaiza-Ganem and Cunningham, "The continuous Bernoulli: fixing a pervasive error in
    variational autoencoders", 2019.

    >>> ContinuousBernoulliLikelihood()(torch.zeros(2)).log_prob(torch.tensor([1.0, 0.5]))  # uniform
    tensor([0., 0.])
    """

    unit_interval = True

    def forward(self, features: Tensor) -> Distribution:
        return ContinuousBernoulli(logits=features, validate_args=False)


def _learn_scale(value: Any, x_shape: tuple[int, ...]) -> bool | str:
    if not isinstance(value, bool) and value not in SCALES_PER_VALUE:
        raise ValueError(
            f"likelihood.learn_scale must be true or false or one of {', '.join(SCALES_PER_VALUE)}, but got {value!r}"
        )
    if value in SCALES_PER_VALUE and not x_shape:
        raise ValueError(f"likelihood.learn_scale={value} needs x_shape, the shape of one example, but got none")
    return value
