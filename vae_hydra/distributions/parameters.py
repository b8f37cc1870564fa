"""The parameters of a distribution by name, and a distribution from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor
from torch.distributions import Distribution


def parameter_names(distribution: Distribution) -> tuple[str, ...]:
    """Constructor arguments: of the redundant pair probs and logits, the one that was given."""
    own = vars(distribution)
    redundant = {"probs", "logits"} - own.keys()
    return tuple(name for name in distribution.arg_constraints if name not in redundant)


def parameters(distribution: Distribution) -> dict[str, Tensor]:
    """Name → value of every parameter, each expanded to batch_shape."""
    names = parameter_names(distribution)
    return {name: getattr(distribution, name).expand(distribution.batch_shape) for name in names}


def with_parameters(distribution: Distribution, values: Mapping[str, Tensor]) -> Distribution:
    """A distribution of the same family with other parameters, unchecked."""
    family: Callable[..., Distribution] = type(distribution)
    return family(**values, validate_args=False)
