"""A distribution with trained parameters, as a module."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.distributions import Distribution, constraints, transform_to

from vae_hydra.distributions.parameters import parameter_names


class TrainableDistribution(nn.Module):
    """A family whose parameters are trained, each kept within its constraint by ``torch.distributions.transform_to``.

    Args:
        start: a distribution of the family, from whose parameters training starts.
        shape: batch_shape of the trained distribution; parameters of vectors keep their own axes behind it.
        spread: standard deviation of Normal noise on the unconstrained starting values, ≥ 0.

    Raises:
        ValueError: for a family with bounds as parameters, such as Uniform.

    >>> prior = TrainableDistribution(torch.distributions.Normal(0.0, 2.0), [3])
    >>> prior().scale.detach()
    tensor([2., 2., 2.])
    """

    def __init__(self, start: Distribution, shape: Sequence[int], spread: float = 0.0) -> None:
        super().__init__()
        self.family = type(start)
        self.names = parameter_names(start)
        if any(isinstance(start.arg_constraints[name], constraints.less_than) for name in self.names):
            raise ValueError(f"the bounds of {self.family.__name__} cannot be trained; use a prior of another family")
        self._maps = {name: transform_to(start.arg_constraints[name]) for name in self.names}
        for name in self.names:
            value = torch.as_tensor(getattr(start, name), dtype=torch.get_default_dtype())
            own = value.shape[value.dim() - start.arg_constraints[name].event_dim :]
            value = value.expand([*shape, *own])
            free = self._maps[name].inv(value)
            self.register_parameter(name, nn.Parameter(free + spread * torch.randn_like(free)))

    def forward(self) -> Distribution:
        """Return the distribution with its present parameters."""
        values = {name: self._maps[name](getattr(self, name)) for name in self.names}
        return self.family(**values, validate_args=False)
