"""Likelihoods with tails that fall as a power of x."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_hydra.base import checks
from vae_hydra.distributions import ParetoTails, StudentT, UpperParetoTail
from vae_hydra.model.likelihoods.base import checked_learning
from vae_hydra.model.likelihoods.location_scale import LocationScaleLikelihood

# Infima of learned parameters. Above 1 degree of freedom a reconstruction, the mean of p(x|z), exists.
LEAST_DF, LEAST_SHAPE, LEAST_THRESHOLD, LEAST_FACTOR = 1.01, 1e-3, 1e-2, 1e-2
TAILS: dict[str, type[ParetoTails]] = {"both": ParetoTails, "upper": UpperParetoTail}


class StudentTLikelihood(LocationScaleLikelihood):
    """p(x|z) = StudentT(df, x̂, scale): −log p grows as (df + 1)·ln|x − x̂|, so outliers have little weight.

    P(|x| > t | z) falls as t^(−df): df is the tail index of what the model generates, unless the latents' own is less.

    Args:
        scale, options: as for ``LocationScaleLikelihood``.
        df: degrees of freedom > 1, for p(x|z) to have a mean: a reconstruction is that mean.
        learn_df: ``false``; ``true`` for one learned df, which starts from ``df``; ``per_pixel`` for one for each
            value of x; ``predicted`` for 1.01 + (df − 1.01)·exp(feature), with one more decoder feature for each value.

    >>> StudentTLikelihood(scale=1.0, df=3.0)(torch.zeros(2)).variance  # df/(df − 2)
    tensor([3., 3.])
    """

    df: Tensor

    def __init__(self, scale: float = 1.0, df: float = 4.0, learn_df: bool | str = False, **options: Any) -> None:
        super().__init__(scale, **options)
        self.learn_df = checked_learning("learn_df", learn_df, self.x_shape)
        least = 1 if self.learn_df is False else LEAST_DF
        if checks.positive("likelihood.df", df) <= least:
            raise ValueError(f"likelihood.df must be a number > {least}, for p(x|z) to have a mean, but got {df!r}")
        if self.learn_df is False:
            self.register_buffer("df", torch.tensor(float(df)), persistent=False)
        else:
            self._register("log_df_excess", math.log(df - LEAST_DF), self.learn_df)

    def forward(self, features: Tensor) -> Distribution:
        return StudentT(self._degrees(features), *self.location_and_scale(features), validate_args=False)

    def _degrees(self, features: Tensor) -> Tensor:
        if self.learn_df is False:
            return self.df
        return LEAST_DF + self._value("log_df_excess", self._parts(features)).exp()


class GeneralisedParetoLikelihood(LocationScaleLikelihood):
    """p(x|z) = ParetoTails(x̂, scale, threshold, shape, β): Normal near x̂, generalised Pareto beyond the threshold.

    P(|x| > t | z) falls as t^(−1/shape): 1/shape is the tail index of what the model generates, unless the latents'
    own is less. ``tails: upper`` puts a tail above x̂ only, and suits data > 0. The Normal body then leaves a little
    mass below 0, and x̂ is the mode, below the mean.

    Args:
        scale, options: as for ``LocationScaleLikelihood``.
        threshold: where a tail begins, > 0.01, in units of the scale; a learned threshold starts from it.
        learn_threshold: whether one threshold for all values is learned.
        learn_tail_scale: whether one factor of β = (1 + shape)/threshold, the scale of the tail, is learned for all
            values. It starts from 1, where the slope of the density is continuous. A fixed one lets the shape of the
            body decide on the tail's.
        shape: between 0.001 and ``max_shape``; a learned shape starts from it.
        learn_shape: ``false``; ``true`` for one learned shape; ``per_pixel`` for one for each value of x;
            ``predicted`` for one more decoder feature for each value.
        max_shape: supremum of the shape, below 1, for p(x|z) to have a mean: a reconstruction is that mean. The
            variance is infinite for a shape ≥ ½.
        tails: ``both`` or ``upper``.

    Source of the tail: Pickands, "Statistical inference using extreme order statistics", 1975.

    >>> p = GeneralisedParetoLikelihood(scale=1.0, threshold=1.0, shape=0.5)(torch.zeros(2))
    >>> (p.log_prob(torch.tensor([1e4, 2e4])).diff() / math.log(2)).round(decimals=3)  # −(1 + 1/shape)
    tensor([-3.], grad_fn=<RoundBackward1>)
    """

    def __init__(
        self,
        scale: float = 1.0,
        threshold: float = 2.0,
        shape: float = 0.3,
        learn_threshold: bool = True,
        learn_tail_scale: bool = True,
        learn_shape: bool | str = True,
        max_shape: float = 0.9,
        tails: str = "both",
        **options: Any,
    ) -> None:
        super().__init__(scale, **options)
        self.family = TAILS[checks.one_of("likelihood.tails", tails, TAILS)]
        if checks.positive("likelihood.max_shape", max_shape) >= 1:
            raise ValueError(
                f"likelihood.max_shape must be a number < 1, for p(x|z) to have a mean, but got {max_shape!r}"
            )
        if not LEAST_SHAPE < checks.positive("likelihood.shape", shape) < max_shape:
            allowed = f"between {LEAST_SHAPE} and max_shape = {max_shape}"
            raise ValueError(f"likelihood.shape must be a number {allowed}, but got {shape!r}")
        if checks.positive("likelihood.threshold", threshold) <= LEAST_THRESHOLD:
            raise ValueError(f"likelihood.threshold must be a number > {LEAST_THRESHOLD}, but got {threshold!r}")
        self.max_shape = float(max_shape)
        start = math.log((shape - LEAST_SHAPE) / (max_shape - shape))
        self._register("shape_logit", start, checked_learning("learn_shape", learn_shape, self.x_shape))
        learned = checks.boolean("likelihood.learn_threshold", learn_threshold)
        self._register("log_threshold_excess", math.log(threshold - LEAST_THRESHOLD), learned)
        learned = checks.boolean("likelihood.learn_tail_scale", learn_tail_scale)
        self._register("log_factor_excess", math.log(1 - LEAST_FACTOR), learned)

    def forward(self, features: Tensor) -> Distribution:
        parts = self._parts(features)
        shape = LEAST_SHAPE + (self.max_shape - LEAST_SHAPE) * self._value("shape_logit", parts).sigmoid()
        threshold = LEAST_THRESHOLD + self._value("log_threshold_excess", parts).exp()
        factor = LEAST_FACTOR + self._value("log_factor_excess", parts).exp()
        tail_scale = factor * (1 + shape) / threshold
        return self.family(*self.location_and_scale(features), threshold, shape, tail_scale, validate_args=False)
