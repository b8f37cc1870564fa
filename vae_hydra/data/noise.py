"""Input noise; the target stays clean."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_hydra.base import checks
from vae_hydra.distributions import FixedDistribution

MODES = ("additive", "stacked")
STACKED_CHANNELS = 2


class Noise(nn.Module):
    """x → the encoder's input.

    ``additive``: x + n, with n drawn independently for every value. ``stacked``: x unchanged, with two
    channels of draws beside it, each scaled to [0, 1] by its own minimum and maximum over the image.

    Shapes: [..., *x_shape] → the same (additive), or [..., C + 2, H, W] from [..., C, H, W] (stacked).

    Args:
        name: name of the noise in metrics.
        distribution: any univariate torch Distribution; None for no noise.
        mode: ``additive`` or ``stacked``.

    Raises:
        ValueError: for an unknown mode, a name that is not fit for a folder, or a value that is not a Distribution.

    >>> x = torch.zeros(5, 1, 8, 8)
    >>> noise = Noise("uniform", torch.distributions.Uniform(1.0, 2.0), mode="stacked")
    >>> noise(x).shape
    torch.Size([5, 3, 8, 8])
    """

    def __init__(self, name: str, distribution: Distribution | None = None, mode: str = "additive") -> None:
        super().__init__()
        self.name = checks.plain_name("noise.name", name)
        self.mode = checks.one_of("noise.mode", mode, MODES)
        self.distribution = None if distribution is None else FixedDistribution(distribution)

    @property
    def is_none(self) -> bool:
        """Whether this noise changes nothing."""
        return self.distribution is None

    def input_shape(self, x_shape: Sequence[int]) -> tuple[int, ...]:
        """Shape of one noisy example.

        Raises:
            ValueError: for stacked noise on data that are not images.
        """
        if self.mode == "additive":
            return tuple(x_shape)
        if len(x_shape) != 3:
            raise ValueError(
                f"noise.mode=stacked needs images of shape (channels, height, width), but the data have shape "
                f"{tuple(x_shape)}; use noise.mode=additive"
            )
        return (x_shape[0] + STACKED_CHANNELS, *x_shape[1:])

    def forward(self, x: Tensor) -> Tensor:
        if self.distribution is None:
            return self.clean(x)
        if self.mode == "additive":
            return x + self.distribution().sample(x.shape).to(x.dtype)
        draws = self.distribution().sample(_extra_channels(x).shape).to(x.dtype)
        return torch.cat([x, _unit_range(draws)], dim=-3)

    def clean(self, x: Tensor) -> Tensor:
        """The encoder's input without noise: x itself, or x with empty extra channels."""
        if self.mode == "additive":
            return x
        return torch.cat([x, torch.zeros_like(_extra_channels(x))], dim=-3)


def _extra_channels(x: Tensor) -> Tensor:
    return x.narrow(-3, 0, 1).expand(*x.shape[:-3], STACKED_CHANNELS, *x.shape[-2:])


def _unit_range(images: Tensor) -> Tensor:
    low, high = images.amin((-2, -1), keepdim=True), images.amax((-2, -1), keepdim=True)
    return (images - low) / (high - low).clamp(min=torch.finfo(images.dtype).tiny)
