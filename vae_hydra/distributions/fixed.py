"""A distribution with constant parameters, as a module that moves with the model."""

from __future__ import annotations

import torch
from torch import nn
from torch.distributions import Distribution

from vae_hydra.distributions.parameters import parameter_names


class FixedDistribution(nn.Module):
    """Hold a distribution's parameters as buffers, so that they follow ``.to(device)``.

    torch.distributions keep plain tensors, which stay on the device that made them. Priors and noises are
    configured once and must follow the model.

    Args:
        distribution: any torch Distribution that can be rebuilt from its ``arg_constraints``.

    Raises:
        ValueError: if ``distribution`` is not a Distribution, or cannot be rebuilt that way.

    >>> prior = FixedDistribution(torch.distributions.Normal(0.0, 2.0)).double()
    >>> prior()
    Normal(loc: 0.0, scale: 2.0)
    >>> prior().sample((3,)).dtype
    torch.float64
    """

    def __init__(self, distribution: Distribution) -> None:
        super().__init__()
        if not isinstance(distribution, Distribution):
            raise ValueError(f"expected a torch.distributions.Distribution, but got {distribution!r}")
        self.family = type(distribution)
        self.names = parameter_names(distribution)
        for name in self.names:
            value = torch.as_tensor(getattr(distribution, name), dtype=torch.get_default_dtype())
            self.register_buffer(name, value, persistent=False)
        self._check_rebuilds()

    def _check_rebuilds(self) -> None:
        try:
            self()
        except TypeError as error:
            raise ValueError(
                f"{self.family.__name__} cannot be rebuilt from its parameters {', '.join(self.names)}: {error}"
            ) from error

    def forward(self) -> Distribution:
        """Return the distribution, with its parameters on this module's device."""
        parameters = {name: getattr(self, name) for name in self.names}
        return self.family(**parameters, validate_args=False)

    def extra_repr(self) -> str:
        return f"{self.family.__name__}({', '.join(f'{n}={getattr(self, n)}' for n in self.names)})"
