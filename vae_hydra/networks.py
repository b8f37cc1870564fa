"""Encoders and decoders: multilayer perceptrons and convolutions, their sizes solved from shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from vae_hydra import checks

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.01),
    "prelu": nn.PReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}
INITIALISATIONS = ("default", "glorot_uniform", "kaiming_normal", "kaiming_fan_out", "normal")


@dataclass(frozen=True)
class Style:
    """What every network has besides its sizes: its activation and how its weights are drawn.

    Args:
        activation: a key of ``ACTIVATIONS``, between layers.
        init: one of ``INITIALISATIONS``. ``default`` is torch's own; ``glorot_uniform`` and ``kaiming_normal``
            (fan in; ``kaiming_fan_out``: fan out) are torch.nn.init's; ``normal`` is N(0, init_std²).
        init_std: standard deviation of the weights with ``init=normal``.

    Raises:
        ValueError: for a name that is not among them, or a standard deviation that is not > 0.
    """

    activation: str = "relu"
    init: str = "default"
    init_std: float = 0.01

    def __post_init__(self) -> None:
        checks.one_of("model.activation", self.activation, ACTIVATIONS)
        checks.one_of("model.init", self.init, INITIALISATIONS)
        checks.positive("model.init_std", self.init_std)

    def activate(self) -> nn.Module:
        """A new activation."""
        return ACTIVATIONS[self.activation]()

    @torch.no_grad()
    def initialise(self, network: nn.Module) -> None:
        """Draw the weights of every linear and convolutional layer of ``network`` anew, biases zero.

        Residual blocks start as the identity, whatever is drawn.
        """
        draw: dict[str, Callable[[Tensor], Tensor]] = {
            "glorot_uniform": nn.init.xavier_uniform_,
            "kaiming_normal": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
            "kaiming_fan_out": lambda weight: nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu"),
            "normal": lambda weight: nn.init.normal_(weight, std=self.init_std),
        }
        for layer in network.modules():
            if self.init != "default" and isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
                draw[self.init](layer.weight)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
        for block in network.modules():
            if isinstance(block, ResidualBlock):
                for parameter in block.last.parameters():
                    nn.init.zeros_(parameter)


class MLPEncoder(nn.Module):
    """x → features through fully connected layers.

    Shapes: [..., *in_shape] → [..., out_features], with any leading dimensions.

    Args:
        in_shape: shape of one input, e.g. (1, 28, 28).
        out_features: number of features returned.
        widths: units of each hidden layer; an empty list makes a linear map.
        style: the options of ``Style``.
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        out_features: int,
        widths: Sequence[int],
        **style: Any,
    ) -> None:
        super().__init__()
        self.in_dims = len(in_shape)
        self.layers = _mlp(math.prod(in_shape), widths, out_features, Style(**style))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.flatten(-self.in_dims))


class MLPDecoder(nn.Module):
    """z → features through fully connected layers.

    Shapes: [..., in_features] → [..., *out_shape]. Arguments as for ``MLPEncoder``.
    """

    def __init__(
        self,
        in_features: int,
        out_shape: Sequence[int],
        widths: Sequence[int],
        **style: Any,
    ) -> None:
        super().__init__()
        self.out_shape = tuple(out_shape)
        self.layers = _mlp(in_features, widths, math.prod(out_shape), Style(**style))

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z).unflatten(-1, self.out_shape)


class TaperedEncoder(MLPEncoder):
    """An ``MLPEncoder`` whose hidden layers narrow linearly from the values of x to ``latent_dim``.

    Shapes: [..., *in_shape] → [..., out_features].

    Args:
        in_shape, out_features, style: as for ``MLPEncoder``.
        depth: number of layers, the last one included.
        latent_dim: where the widths lead; ``out_features`` may be another number.

    Raises:
        ValueError: if x has fewer values than ``latent_dim``.
    """

    def __init__(self, in_shape: Sequence[int], out_features: int, depth: int, latent_dim: int, **style: Any) -> None:
        super().__init__(in_shape, out_features, tapered_widths(math.prod(in_shape), latent_dim, depth), **style)


class TaperedDecoder(MLPDecoder):
    """The mirror of ``TaperedEncoder``: hidden layers that widen linearly from ``latent_dim`` to the values of x.

    Shapes: [..., in_features] → [..., *out_shape]. Arguments and errors as for ``TaperedEncoder``.
    """

    def __init__(self, in_features: int, out_shape: Sequence[int], depth: int, latent_dim: int, **style: Any) -> None:
        widths = tapered_widths(math.prod(out_shape), latent_dim, depth)
        super().__init__(in_features, out_shape, widths[::-1], **style)


class Step(NamedTuple):
    """What one convolution does along one axis; its transpose leads back from ``out`` to ``size``."""

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
        """What rounding down in ``out`` dropped and the transpose has to add."""
        return (self.size + 2 * self.padding - self.kernel) % self.stride


class ConvLayer(NamedTuple):
    """One layer of an encoder's plan, which a decoder reads from the last to the first."""

    channels_in: int
    channels_out: int
    height: Step
    width: Step

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """(C, H, W) after the layer."""
        return self.channels_out, self.height.out, self.width.out

    def convolution(self) -> nn.Conv2d:
        """The layer as an encoder has it."""
        return nn.Conv2d(self.channels_in, self.channels_out, *self._geometry())

    def transposed(self) -> nn.ConvTranspose2d:
        """The layer as a decoder has it: exactly back to the size before."""
        output_padding = self.height.output_padding, self.width.output_padding
        return nn.ConvTranspose2d(self.channels_out, self.channels_in, *self._geometry(), output_padding)

    def _geometry(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        h, w = self.height, self.width
        return (h.kernel, w.kernel), (h.stride, w.stride), (h.padding, w.padding)


class PlannedEncoder(nn.Module):
    """Image → features through the convolutions of a plan, then one linear layer.

    Shapes: [..., C, H, W] → [..., out_features].

    Args:
        plan: the layers, for images of one shape.
        out_features: number of features returned.
        residual_blocks: number of ``ResidualBlock`` after each layer.
        style: the options of ``Style``.
    """

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
        # Convolutions take one batch dimension only.
        lead = x.shape[:-3]
        features = self.head(self.layers(x.reshape(-1, *x.shape[-3:])).flatten(1))
        return features.reshape(*lead, -1)


class PlannedDecoder(nn.Module):
    """z → image features: one linear layer, then the mirror of a ``PlannedEncoder`` of the same plan.

    Shapes: [..., in_features] → [..., C, H, W]. Arguments as for ``PlannedEncoder``; nothing follows the
    last layer.
    """

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
        start = self.stem(z.reshape(-1, z.shape[-1])).unflatten(-1, self.start_shape)
        features = self.layers(start)
        return features.reshape(*lead, *features.shape[1:])


class ConvEncoder(PlannedEncoder):
    """Image → features through convolutions that each halve height and width, then one linear layer.

    Shapes: [..., C, H, W] → [..., out_features].

    Args:
        in_shape: (C, H, W), with H and W large enough for ``len(channels)`` halvings.
        out_features: number of features returned.
        channels: output channels of each convolution.
        kernel: 4, which halves an odd size rounding down, or 3, rounding up.
        residual_blocks, style: as for ``PlannedEncoder``.

    Raises:
        ValueError: if the data are no images, or too small for that many layers.
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
    """Image → features through ``layers`` convolutions solved to end in a given shape, then one linear layer.

    Shapes: [..., C, H, W] → [..., out_features].

    Args:
        in_shape: (C, H, W).
        out_features: number of features returned.
        layers: number of convolutions.
        features: (C, H, W) after the last one.
        style: the options of ``Style``.

    Raises:
        ValueError: if the data are no images, or no such convolutions lead to ``features``.
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


class ResidualBlock(nn.Module):
    """x + conv(act(conv(act(x)))) with 3×3 convolutions.

    ``Style.initialise`` sets the last one to zero, so that a network starts without its blocks.

    Shapes: [B, C, H, W] → [B, C, H, W].
    """

    def __init__(self, channels: int, style: Style) -> None:
        super().__init__()
        self.inner = nn.Sequential(style.activate(), nn.Conv2d(channels, channels, 3, padding=1), style.activate())
        self.last = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.last(self.inner(x))


def halving_plan(shape: Sequence[int], channels: Sequence[int], kernel: int) -> list[ConvLayer]:
    """Layers of stride 2 and padding 1 from images of ``shape``, one for each of ``channels``.

    Raises:
        ValueError: if ``shape`` is not (C, H, W), ``kernel`` not 3 or 4, ``channels`` is empty or a layer would have
            no size left to halve.
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

    Each axis is halved for as long as its target is not passed; the next layer's kernel takes what is left,
    and 3×3 layers keep the size from there. Channels go linearly, rounded.

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


def tapered_widths(d_x: int, d_z: int, n: int) -> list[int]:
    """The hidden widths D_i = D_x − ⌊(D_x − D_z)·i / n⌋, i = 1…n−1, of ``n`` layers from ``d_x`` to ``d_z``.

    >>> tapered_widths(784, 8, 4)
    [590, 396, 202]

    Raises:
        ValueError: if ``n`` < 1 or ``d_z`` > ``d_x``.
    """
    checks.positive_integer("model.depth", n)
    if checks.positive_integer("model.latent_dim", d_z) > d_x:
        raise ValueError(
            f"model.latent_dim must be at most {d_x}, the number of values of an example, for layers that narrow "
            f"towards it, but got {d_z}; lower it or use model=mlp"
        )
    return [d_x - (d_x - d_z) * i // n for i in range(1, n)]


def _mlp(in_features: int, widths: Sequence[int], out_features: int, style: Style) -> nn.Sequential:
    checks.positive_integers("model widths", widths)
    layers: list[nn.Module] = []
    for before, after in zip([in_features, *widths], widths, strict=False):
        layers += [nn.Linear(before, after), style.activate()]
    network = nn.Sequential(*layers, nn.Linear([in_features, *widths][-1], out_features))
    style.initialise(network)
    return network


def _blocks(number: int, channels: int, style: Style) -> list[ResidualBlock]:
    checks.non_negative_integer("model.residual_blocks", number)
    return [ResidualBlock(channels, style) for _ in range(number)]


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
    """The halvings that do not pass ``target``, and one more step if they do not meet it."""
    steps = _halve(size, (size // target).bit_length() - 1, kernel=4)
    left = size >> len(steps)
    return steps if left == target else [*steps, _step_to(target, left)]


def _step_to(target: int, size: int) -> Step:
    return Step(size, kernel=size - target + 3, stride=1)
