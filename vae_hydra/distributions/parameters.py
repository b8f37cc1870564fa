"""A distribution's parameters by name, and a distribution from parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor
from torch.distributions import Distribution

# Arguments that exclude one another.
_REDUNDANT = {"probs", "logits", "covariance_matrix", "precision_matrix", "scale_tril"}


def parameter_names(distribution: Distribution) -> tuple[str, ...]:
    """Names of the constructor's arguments; of redundant ones, such as probs and logits, only the given one."""
    redundant = _REDUNDANT - vars(distribution).keys()
    return tuple(name for name in distribution.arg_constraints if name not in redundant)


def parameters(distribution: Distribution) -> dict[str, Tensor]:
    """Every parameter by name, expanded to batch_shape and the parameter's own dimensions.

    >>> import torch
    >>> parameters(torch.distributions.Normal(torch.zeros(2), torch.tensor(3.0)))
    {'loc': tensor([0., 0.]), 'scale': tensor([3., 3.])}
    """
    return {name: _expanded(distribution, name) for name in parameter_names(distribution)}


def _expanded(distribution: Distribution, name: str) -> Tensor:
    value = getattr(distribution, name)
    own = value.shape[value.dim() - distribution.arg_constraints[name].event_dim :]
    return value.expand(distribution.batch_shape + own)


def with_parameters(distribution: Distribution, values: Mapping[str, Tensor]) -> Distribution:
    """Return a distribution of the same family with other parameters, which are not validated.

    >>> import torch
    >>> with_parameters(torch.distributions.Normal(0.0, 1.0), {"loc": torch.tensor(2.0), "scale": torch.tensor(3.0)})
    Normal(loc: 2.0, scale: 3.0)
    """
    family: Callable[..., Distribution] = type(distribution)
    # Arguments that are no parameters, such as the network of a flow.
    constants = getattr(distribution, "constants", {})
    return family(**values, **constants, validate_args=False)


def with_axis(distribution: Distribution, axis: int, size: int) -> Distribution:
    """The same distribution ``size`` times, along a new axis of its batch_shape.

    >>> import torch
    >>> with_axis(torch.distributions.Normal(torch.zeros(2, 3), 1.0), 1, 5).batch_shape
    torch.Size([2, 5, 3])
    """
    values = parameters(distribution)
    for name, value in values.items():
        values[name] = value.unsqueeze(axis).expand(*value.shape[:axis], size, *value.shape[axis:])
    return with_parameters(distribution, values)
