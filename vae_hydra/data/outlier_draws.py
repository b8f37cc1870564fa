"""Values that no example has: uniform ones, and those of an example in random order."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def uniform_values(
    shape: Sequence[int], low: Tensor | float, high: Tensor | float, generator: torch.Generator
) -> Tensor:
    """Independent values, uniform from ``low`` to ``high``, which broadcast to ``shape``."""
    return low + (high - low) * torch.rand(*shape, generator=generator)


def shuffled_values(x: Tensor, generator: torch.Generator) -> Tensor:
    """The pixels of each example [N, C, H, W], or the values of each vector [N, D], in random order.

    Raises:
        ValueError: for examples of one value.
    """
    # [N, C, pixels]: the channels of a pixel stay together.
    pixels = x.flatten(2) if x.dim() > 2 else x.unsqueeze(1)
    if pixels.shape[-1] < 2:
        raise ValueError("an example has one value, which has no other order")
    order = torch.rand(len(pixels), 1, pixels.shape[-1], generator=generator).argsort(-1)
    return pixels.gather(-1, order.expand_as(pixels)).reshape(x.shape)
