"""Plans of convolutions: from the shape of an image to kernels, strides and paddings, down and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from vae_hydra.base import checks


class Step(NamedTuple):
    """One convolution along one axis; its transpose leads back from ``out`` to ``size``."""

    size: int
    kernel: int
    stride: int
    padding: int = 1

    @property
    def out(self) -> int:
        """The size after the convolution."""
        return (self.size + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def output_padding(self) -> int:
        """The remainder that ``out`` rounds away and the transpose must add."""
        return (self.size + 2 * self.padding - self.kernel) % self.stride


class ConvLayer(NamedTuple):
    """One layer of a plan; encoders read plans forwards, decoders backwards."""

    channels_in: int
    channels_out: int
    height: Step
    width: Step

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """(C, H, W) after the layer."""
        return self.channels_out, self.height.out, self.width.out

    def convolution(self) -> nn.Conv2d:
        """The layer of an encoder."""
        return nn.Conv2d(self.channels_in, self.channels_out, *self._geometry())

    def transposed(self) -> nn.ConvTranspose2d:
        """The layer of a decoder, which restores the exact size before it."""
        output_padding = self.height.output_padding, self.width.output_padding
        return nn.ConvTranspose2d(self.channels_out, self.channels_in, *self._geometry(), output_padding)

    def _geometry(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        h, w = self.height, self.width
        return (h.kernel, w.kernel), (h.stride, w.stride), (h.padding, w.padding)


def halving_plan(shape: Sequence[int], channels: Sequence[int], kernel: int) -> list[ConvLayer]:
    """Layers of stride 2 and padding 1 from images of ``shape``, one for each of ``channels``.

    Raises:
        ValueError: if ``shape`` is not (C, H, W), ``kernel`` is not 3 or 4, ``channels`` is empty, or a layer would
            have no size left to halve.
    """
    checks.positive_integers("model.channels", channels)
    height, width = _image_size(shape)
    if kernel not in (3, 4):
        raise ValueError(f"model.kernel must be 3 or 4, but got {kernel!r}")
    halvings = math.log2(min(height, width))
    most = math.floor(halvings) if kernel == 4 else math.ceil(halvings)
    if not 1 <= len(channels) <= most:
        raise ValueError(
            f"model.channels must have 1 to {most} entries for {height}×{width} images "
            f"(each layer halves them), but got {list(channels)}"
        )
    return _plan([shape[0], *channels], _halve(height, len(channels), kernel), _halve(width, len(channels), kernel))


def solved_plan(shape: Sequence[int], layers: int, features: Sequence[int]) -> list[ConvLayer]:
    """``layers`` layers from images of ``shape`` to exactly ``features``, both (C, H, W).

    Each axis is halved as long as that does not pass its target. The next layer's kernel makes up the rest, and
    3×3 layers keep the size from there. Channels change linearly, rounded.

    >>> [layer.out_shape for layer in solved_plan((1, 28, 28), 3, (64, 5, 5))]
    [(22, 14, 14), (43, 7, 7), (64, 5, 5)]

    Raises:
        ValueError: if ``shape`` is not (C, H, W), ``features`` is larger, or ``layers`` are too few.
    """
    height, width = _image_size(shape)
    checks.positive_integer("model.layers", layers)
    if len(checks.positive_integers("model.features", features)) != 3:
        raise ValueError(f"model.features must be [channels, height, width], but got {list(features)}")
    if features[1] > height or features[2] > width:
        raise ValueError(
            f"model.features must be no larger than the images, {height}×{width}, but got "
            f"{features[1]}×{features[2]}; lower them or use larger images"
        )
    axes = [_solve(height, features[1]), _solve(width, features[2])]
    fewest = max(len(steps) for steps in axes)
    if layers < fewest:
        raise ValueError(
            f"model.layers must be at least {fewest} to lead from {height}×{width} to {features[1]}×{features[2]}, "
            f"but got {layers}; raise it or choose larger model.features"
        )
    channels = [round(shape[0] + (features[0] - shape[0]) * i / layers) for i in range(layers + 1)]
    heights, widths = (
        [*steps, *[_step_to(target, target)] * (layers - len(steps))]
        for steps, target in zip(axes, features[1:], strict=True)
    )
    return _plan(channels, heights, widths)


def _image_size(shape: Sequence[int]) -> tuple[int, int]:
    if len(shape) != 3:
        raise ValueError(
            f"convolutional models need images of shape (channels, height, width), but the data have shape "
            f"{tuple(shape)}; use model=mlp"
        )
    return shape[1], shape[2]


def _plan(channels: Sequence[int], heights: Sequence[Step], widths: Sequence[Step]) -> list[ConvLayer]:
    layers = zip(channels[:-1], channels[1:], heights, widths, strict=True)
    return [ConvLayer(*layer) for layer in layers]


def _halve(size: int, times: int, kernel: int) -> list[Step]:
    steps: list[Step] = []
    for _ in range(times):
        steps.append(Step(size, kernel, stride=2))
        size = steps[-1].out
    return steps


def _solve(size: int, target: int) -> list[Step]:
    """The halvings that do not pass ``target``, and one more step if they do not end there."""
    steps = _halve(size, (size // target).bit_length() - 1, kernel=4)
    left = size >> len(steps)
    return steps if left == target else [*steps, _step_to(target, left)]


def _step_to(target: int, size: int) -> Step:
    return Step(size, kernel=size - target + 3, stride=1)
