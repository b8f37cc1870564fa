"""Likelihoods of positive data."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor
from torch.distributions import Distribution, Gamma, LogNormal

from vae_hydra.base import checks
from vae_hydra.model.likelihoods.base import Likelihood, checked_learning
from vae_hydra.model.likelihoods.location_scale import LocationScaleLikelihood
from vae_hydra.model.samplers import FLOOR, POSITIVE_MAPS

# Infimum of a learned concentration, like min_scale of a scale.
LEAST_CONCENTRATION = 1e-2


class LogNormalLikelihood(LocationScaleLikelihood):
    """p(x|z) = LogNormal(loc, scale): ln x ~ Normal(loc, scale), with the decoder's output as loc.

    Its tail is heavier than exponential but lighter than any power of x. Its mean is exp(loc + scale²/2).

    Args:
        scale: of ln x, > 0; a learned scale starts from it.
        learn_scale, min_scale, x_shape: as for ``LocationScaleLikelihood``.

    >>> import torch
    >>> p = LogNormalLikelihood(scale=1.0)(torch.zeros(2))
    >>> p.mean  # e^½
    tensor([1.6487, 1.6487])
    """

    positive_only = True

    def __init__(
        self,
        scale: float = 1.0,
        learn_scale: bool | str = False,
        min_scale: float = 1e-3,
        x_shape: Sequence[int] = (),
    ) -> None:
        super().__init__(scale, learn_scale, min_scale=min_scale, x_shape=x_shape)

    def forward(self, features: Tensor) -> Distribution:
        return LogNormal(*self.location_and_scale(features), validate_args=False)


class GammaLikelihood(Likelihood):
    """p(x|z) = Gamma with the mean positive(feature) and a concentration k: its variance is mean²/k.

    Its tail is exponential. Beside the other likelihoods of positive data it shows what a light tail misses.

    Args:
        concentration: k > 0; a learned one starts from it, and must exceed 0.01.
        learn_concentration: ``false``; ``true`` for one learned k; ``per_pixel`` for one for each value of x;
            ``predicted`` for 0.01 + (k − 0.01)·exp(feature), with a second decoder feature for each value.
        positive: the map from the first feature to the mean, a key of ``samplers.POSITIVE_MAPS``.
        x_shape: shape of one example.

    Raises:
        ValueError: for an option out of its range, or a concentration per value without an ``x_shape``.

    >>> import torch
    >>> p = GammaLikelihood(concentration=4.0, positive="exp")(torch.zeros(2))
    >>> p.variance  # mean²/k
    tensor([0.2500, 0.2500])
    """

    positive_only = True

    def __init__(
        self,
        concentration: float = 1.0,
        learn_concentration: bool | str = False,
        positive: str = "softplus",
        x_shape: Sequence[int] = (),
    ) -> None:
        super().__init__(x_shape)
        self._map = POSITIVE_MAPS[checks.one_of("likelihood.positive", positive, POSITIVE_MAPS)]
        if checks.positive("likelihood.concentration", concentration) <= LEAST_CONCENTRATION:
            raise ValueError(
                f"likelihood.concentration must be a number > {LEAST_CONCENTRATION}, but got {concentration!r}"
            )
        learn = checked_learning("learn_concentration", learn_concentration, self.x_shape)
        self._register("log_excess", math.log(concentration - LEAST_CONCENTRATION), learn)

    def forward(self, features: Tensor) -> Distribution:
        parts = self._parts(features)
        mean = FLOOR + self._map(parts[0])
        concentration = LEAST_CONCENTRATION + self._value("log_excess", parts).exp()
        return Gamma(concentration, concentration / mean, validate_args=False)
