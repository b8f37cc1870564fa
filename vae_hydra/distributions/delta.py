"""The point distribution: all mass at one value."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.types import _size


class Delta(Distribution):
    """All mass at ``loc``: the posterior of a plain autoencoder.

    Args:
        loc: position of the mass, of shape batch_shape. Integers become numbers of the default dtype.

    ``log_prob`` and ``entropy`` are those of a discrete point mass: ln p is 0 at ``loc`` and −inf elsewhere, and the
    entropy is 0. The differential entropy would be −inf. No KL to a continuous distribution is registered,
    because it is infinite.

    >>> q = Delta(torch.tensor([1.0, 2.0]))
    >>> q.rsample((3,)).shape
    torch.Size([3, 2])
    >>> q.log_prob(torch.tensor([1.0, 0.0]))
    tensor([0., -inf])
    """

    arg_constraints = {"loc": constraints.real}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Tensor | float, validate_args: bool | None = None) -> None:
        loc = torch.as_tensor(loc)
        self.loc = loc if loc.is_floating_point() else loc.to(torch.get_default_dtype())
        super().__init__(self.loc.shape, validate_args=validate_args)

    def expand(self, batch_shape: _size, _instance: Delta | None = None) -> Delta:
        new = self._get_checked_instance(Delta, _instance)
        new.loc = self.loc.expand(batch_shape)
        super(Delta, new).__init__(new.loc.shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return torch.zeros_like(self.loc)

    def entropy(self) -> Tensor:
        """0 nats, the mean of −``log_prob``."""
        return torch.zeros_like(self.loc)

    def rsample(self, sample_shape: _size = ()) -> Tensor:
        return self.loc.expand(self._extended_shape(sample_shape))

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc.expand(torch.broadcast_shapes(self.loc.shape, value.shape))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        is_loc = value == self.loc
        return torch.where(is_loc, 0.0, -torch.inf).to(torch.result_type(value, self.loc))
