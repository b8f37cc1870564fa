"""Densities of all latents together, whether the latents are independent or not."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution


def is_joint(distribution: Distribution) -> bool:
    """Whether a distribution of latents is one of vectors [L], rather than of L independent values."""
    return bool(distribution.event_shape)


def log_density(distribution: Distribution, z: Tensor) -> Tensor:
    """ln of the density of z [..., L] over all latents [nats], of shape [...].

    >>> import torch
    >>> log_density(torch.distributions.Normal(0.0, 1.0), torch.zeros(5, 3)).shape
    torch.Size([5])
    """
    value = distribution.log_prob(z)
    return value if is_joint(distribution) else value.sum(-1)
