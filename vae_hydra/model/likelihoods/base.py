"""The base class of likelihoods, and their parameters that are fixed, learned or predicted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

# Options of learn_scale and the like besides false and true, which is one parameter for all values.
SCALES_PER_VALUE = ("per_pixel", "predicted")


class Likelihood(nn.Module, ABC):
    """Turn decoder features into p(x|z), of the same shape as x: [..., *x_shape].

    Args:
        x_shape: shape of one example.

    Attributes:
        parameters_per_value: number of decoder features for each value of x; the first axis of the decoder's
            output is this many times that of x.
        unit_interval: whether x must lie in [0, 1], like the mean of p(x|z).
        positive_only: whether x must be > 0.
        needs_binary_to_be_normalised: whether p(x|z) is normalised only for x in {0, 1}.
    """

    parameters_per_value = 1
    unit_interval = False
    positive_only = False
    needs_binary_to_be_normalised = False

    def __init__(self, x_shape: Sequence[int] = ()) -> None:
        super().__init__()
        self.x_shape = tuple(x_shape)
        # Name of a predicted parameter → number of its decoder feature.
        self._predicted: dict[str, int] = {}

    @abstractmethod
    def forward(self, features: Tensor) -> Distribution:
        """p(x|z) of batch_shape [..., *x_shape] from features [..., parameters_per_value·x_shape[0], *x_shape[1:]]."""

    def _register(self, name: str, start: float, learn: bool | str) -> None:
        """Hold an unconstrained parameter under ``name``: a buffer if it is fixed or predicted, else learned."""
        value = torch.tensor(start)
        if learn is False or learn == "predicted":
            self.register_buffer(name, value, persistent=False)
        else:
            shape = self.x_shape if learn == "per_pixel" else ()
            self.register_parameter(name, nn.Parameter(value.expand(shape).clone()))
        if learn == "predicted":
            self._predicted[name] = self.parameters_per_value
            self.parameters_per_value += 1

    def _parts(self, features: Tensor) -> tuple[Tensor, ...]:
        """The decoder features of each parameter, of shape [..., *x_shape]."""
        if self.parameters_per_value == 1:
            return (features,)
        return features.chunk(self.parameters_per_value, dim=-len(self.x_shape))

    def _value(self, name: str, parts: Sequence[Tensor]) -> Tensor:
        """A registered parameter, plus its decoder feature if it is predicted."""
        value = getattr(self, name)
        return value + parts[self._predicted[name]] if name in self._predicted else value


def checked_learning(option: str, value: Any, x_shape: Sequence[int]) -> bool | str:
    """Return ``value`` if it is true, false or one of ``SCALES_PER_VALUE``; raise ValueError otherwise."""
    if not isinstance(value, bool) and value not in SCALES_PER_VALUE:
        raise ValueError(
            f"likelihood.{option} must be true or false or one of {', '.join(SCALES_PER_VALUE)}, but got {value!r}"
        )
    if value in SCALES_PER_VALUE and not x_shape:
        raise ValueError(f"likelihood.{option}={value} needs x_shape, the shape of one example, but got none")
    return value
