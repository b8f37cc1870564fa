"""A conditional flow as a distribution of vectors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints
from torch.types import _size


class ConditionalFlow(Distribution):
    """z = loc + scale·f(ε; context) with ε ~ N(0, I), for an invertible f of vectors.

    Args:
        loc: [..., L].
        scale: [..., L], > 0.
        context: what f depends on, [..., C].
        flow: zuko's lazy transform: context → the inverse of f.
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "scale": constraints.independent(constraints.positive, 1),
        "context": constraints.real_vector,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self, loc: Tensor, scale: Tensor, context: Tensor, flow: nn.Module, validate_args: bool | None = None
    ) -> None:
        self.loc, self.scale, self.context, self.flow = loc, scale, context, flow
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=validate_args)

    @property
    def constants(self) -> dict[str, Any]:
        """Arguments of the constructor that are no parameters."""
        return {"flow": self.flow}

    @property
    def mode(self) -> Tensor:
        """The point loc + scale·f(0; context), which stands for the distribution."""
        return self._at(torch.zeros_like(self.loc))

    def log_prob(self, value: Tensor) -> Tensor:
        """ln of the density at z [..., L], of shape [...]."""
        transform = self.flow(self.context)
        noise, log_slope = transform.call_and_ladj((value - self.loc) / self.scale)
        normal = torch.distributions.Normal(torch.zeros_like(noise), 1.0, validate_args=False)
        return normal.log_prob(noise).sum(-1) + log_slope - self.scale.log().sum(-1)

    def rsample(self, sample_shape: _size = ()) -> Tensor:
        shape = torch.Size(sample_shape) + self.loc.shape
        return self._at(torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device))

    def _at(self, noise: Tensor) -> Tensor:
        return self.loc + self.scale * self.flow(self.context).inv(noise)
