"""A distribution's parameters by name, and a distribution from parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor
from torch.distributions import Distribution


def parameter_names(distribution: Distribution) -> tuple[str, ...]:
    """Names of the constructor's arguments; of the redundant pair probs and logits, only the given one."""
    redundant = {"probs", "logits"} - vars(distribution).keys()
    return tuple(name for name in distribution.arg_constraints if name not in redundant)


def parameters(distribution: Distribution) -> dict[str, Tensor]:
    """Every parameter by name, expanded to batch_shape.

    >>> import torch
    >>> parameters(torch.distributions.Normal(torch.zeros(2), torch.tensor(3.0)))
    {'loc': tensor([0., 0.]), 'scale': tensor([3., 3.])}
    """
    names = parameter_names(distribution)
    return {name: getattr(distribution, name).expand(distribution.batch_shape) for name in names}


def with_parameters(distribution: Distribution, values: Mapping[str, Tensor]) -> Distribution:
    """Return a distribution of the same family with other parameters, which are not validated.

    >>> import torch
    >>> with_parameters(torch.distributions.Normal(0.0, 1.0), {"loc": torch.tensor(2.0), "scale": torch.tensor(3.0)})
    Normal(loc: 2.0, scale: 3.0)
    """
    family: Callable[..., Distribution] = type(distribution)
    return family(**values, validate_args=False)
