"""Convolutional encoders and decoders, built from plans of their layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from vae_hydra.base import checks
from vae_hydra.model.networks.parts import ResidualBlock, Style
from vae_hydra.model.networks.plans import ConvLayer, halving_plan, solved_plan


class PlannedEncoder(nn.Module):
    """Image → features through the convolutions of a plan, then one linear layer.

    Shapes: [..., C, H, W] → [..., out_features].

    Args:
        plan: the layers, for images of one shape.
        out_features: number of features returned.
        residual_blocks: number of ``ResidualBlock`` between each layer and its activation.
        style: the options of ``Style``.
    """

    # Whether the layers take a leading run axis besides the batch, as those of stacked models do.
    has_runs = False

    def __init__(self, plan: Sequence[ConvLayer], out_features: int, residual_blocks: int = 0, **style: Any) -> None:
        super().__init__()
        chosen = Style(**style)
        layers: list[nn.Module] = []
        for layer in plan:
            layers += [layer.convolution(), *_blocks(residual_blocks, layer.channels_out, chosen), chosen.activate()]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(math.prod(plan[-1].out_shape), out_features)
        chosen.initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        # Convolutions take exactly one batch dimension.
        lead = x.shape[:-3]
        images = x if self.has_runs else x.reshape(-1, *x.shape[-3:])
        return self.head(self.layers(images).flatten(-3)).reshape(*lead, -1)


class PlannedDecoder(nn.Module):
    """z → image features: one linear layer, then the mirror of a ``PlannedEncoder`` of the same plan.

    Shapes: [..., in_features] → [..., C, H, W]. Arguments as for ``PlannedEncoder``; the last layer has no activation.
    """

    has_runs = False

    def __init__(self, in_features: int, plan: Sequence[ConvLayer], residual_blocks: int = 0, **style: Any) -> None:
        super().__init__()
        chosen = Style(**style)
        self.start_shape = plan[-1].out_shape
        self.stem = nn.Sequential(nn.Linear(in_features, math.prod(self.start_shape)), chosen.activate())
        layers: list[nn.Module] = []
        for layer in reversed(plan[1:]):
            layers += [layer.transposed(), *_blocks(residual_blocks, layer.channels_in, chosen), chosen.activate()]
        self.layers = nn.Sequential(*layers, plan[0].transposed())
        chosen.initialise(self)

    def forward(self, z: Tensor) -> Tensor:
        lead = z.shape[:-1]
        latents = z if self.has_runs else z.reshape(-1, z.shape[-1])
        features = self.layers(self.stem(latents).unflatten(-1, self.start_shape))
        return features.reshape(*lead, *features.shape[-3:])


class ConvEncoder(PlannedEncoder):
    """Image → features through convolutions that halve height and width, then one linear layer.

    Shapes: [..., C, H, W] → [..., out_features].

    Args:
        in_shape: (C, H, W), with H and W large enough for ``len(channels)`` halvings.
        out_features: number of features returned.
        channels: output channels of each convolution.
        kernel: 4, which halves an odd size rounding down, or 3, rounding up.
        residual_blocks, style: as for ``PlannedEncoder``.

    Raises:
        ValueError: if the data are not images, or too small for that many layers.

    >>> import torch
    >>> ConvEncoder((1, 28, 28), out_features=20, channels=[32, 64])(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 20])
    """

    def __init__(
        self, in_shape: Sequence[int], out_features: int, channels: Sequence[int], kernel: int = 4, **options: Any
    ) -> None:
        super().__init__(halving_plan(in_shape, channels, kernel), out_features, **options)


class ConvDecoder(PlannedDecoder):
    """z → image features: the mirror of ``ConvEncoder``, with ``channels`` in the encoder's order.

    Shapes: [..., in_features] → [..., *out_shape]. Arguments and errors as for ``ConvEncoder``.
    """

    def __init__(
        self, in_features: int, out_shape: Sequence[int], channels: Sequence[int], kernel: int = 4, **options: Any
    ) -> None:
        super().__init__(in_features, halving_plan(out_shape, channels, kernel), **options)


class ArchitectEncoder(PlannedEncoder):
    """Image → features through ``layers`` convolutions that end in a given shape, then one linear layer.

    Shapes: [..., C, H, W] → [..., out_features].

    Args:
        in_shape: (C, H, W).
        out_features: number of features returned.
        layers: number of convolutions.
        features: (C, H, W) after the last one.
        style: the options of ``Style``.

    Raises:
        ValueError: if the data are not images, or no such convolutions lead to ``features``.
    """

    def __init__(
        self, in_shape: Sequence[int], out_features: int, layers: int, features: Sequence[int], **style: Any
    ) -> None:
        super().__init__(solved_plan(in_shape, layers, features), out_features, **style)


class ArchitectDecoder(PlannedDecoder):
    """z → image features: the mirror of ``ArchitectEncoder``.

    Shapes: [..., in_features] → [..., *out_shape]. Arguments and errors as for ``ArchitectEncoder``.
    """

    def __init__(
        self, in_features: int, out_shape: Sequence[int], layers: int, features: Sequence[int], **style: Any
    ) -> None:
        super().__init__(in_features, solved_plan(out_shape, layers, features), **style)


def _blocks(number: int, channels: int, style: Style) -> list[ResidualBlock]:
    checks.non_negative_integer("model.residual_blocks", number)
    return [ResidualBlock(channels, style) for _ in range(number)]
