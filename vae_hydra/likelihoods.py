"""Decoder features → p(x|z), a torch Distribution over the values of x."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, ContinuousBernoulli, Distribution, Laplace

from vae_hydra import checks
from vae_hydra.distributions import HomoscedasticNormal

LOCATION_MAPS = {"identity": nn.Identity, "sigmoid": nn.Sigmoid}


class Likelihood(nn.Module, ABC):
    """Turn decoder features into p(x|z), of the same shape as x: [..., *x_shape].

    Attributes:
        unit_interval: whether x must lie in [0, 1].
    """

    unit_interval = False

    @abstractmethod
    def forward(self, features: Tensor) -> Distribution:
        """p(x|z) of batch_shape [..., *x_shape] from features of that shape."""


class LocationScaleLikelihood(Likelihood):
    """A density around the decoder's output, with one scale for all values of x.

    Args:
        scale: the scale > 0, in the units of x; where it starts from if it is learned.
        learn_scale: whether the scale is a parameter of the model.
        location: ``identity``, or ``sigmoid`` to keep the decoder's output in (0, 1).
    """

    log_scale: Tensor

    def __init__(self, scale: float = 1.0, learn_scale: bool = False, location: str = "identity") -> None:
        super().__init__()
        log_scale = torch.tensor(math.log(checks.positive("likelihood.scale", scale)))
        if checks.boolean("likelihood.learn_scale", learn_scale):
            self.log_scale = nn.Parameter(log_scale)
        else:
            self.register_buffer("log_scale", log_scale, persistent=False)
        self.location = LOCATION_MAPS[checks.one_of("likelihood.location", location, LOCATION_MAPS)]()


class GaussianLikelihood(LocationScaleLikelihood):
    """p(x|z) = Normal(x̂, scale): with scale 1, −log p is half-SSE + (D/2)·ln 2π nats."""

    def forward(self, features: Tensor) -> Distribution:
        return HomoscedasticNormal(self.location(features), self.log_scale.exp(), validate_args=False)


class LaplaceLikelihood(LocationScaleLikelihood):
    """p(x|z) = Laplace(x̂, scale): −log p is the L1 distance over the scale, plus a constant."""

    def forward(self, features: Tensor) -> Distribution:
        return Laplace(self.location(features), self.log_scale.exp(), validate_args=False)


class BernoulliLikelihood(Likelihood):
    """p(x|z) = Bernoulli with the decoder's output as logits.

    For x strictly between 0 and 1 this is the usual binary cross-entropy, which is not a normalised
    density; ``ContinuousBernoulliLikelihood`` is.
    """

    unit_interval = True

    def forward(self, features: Tensor) -> Distribution:
        return Bernoulli(logits=features, validate_args=False)


class ContinuousBernoulliLikelihood(Likelihood):
    """p(x|z) = ContinuousBernoulli with the decoder's output as logits, a density on [0, 1].

    Source: Loaiza-Ganem and Cunningham, "The continuous Bernoulli: fixing a pervasive error in
    variational autoencoders", 2019.
    """

    unit_interval = True

    def forward(self, features: Tensor) -> Distribution:
        return ContinuousBernoulli(logits=features, validate_args=False)
