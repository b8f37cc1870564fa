"""Encoders and decoders: multilayer perceptrons and convolutions, their sizes solved from shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

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
KERNEL, STRIDE, PADDING = 4, 2, 1


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
        """Draw the weights of every linear and convolutional layer of ``network`` anew, biases zero."""
        if self.init == "default":
            return
        draw: dict[str, Callable[[Tensor], Tensor]] = {
            "glorot_uniform": nn.init.xavier_uniform_,
            "kaiming_normal": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
            "kaiming_fan_out": lambda weight: nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu"),
            "normal": lambda weight: nn.init.normal_(weight, std=self.init_std),
        }
        for layer in network.modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
                draw[self.init](layer.weight)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)


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


class ConvEncoder(nn.Module):
    """Image → features through convolutions that each halve height and width, then one linear layer.

    Shapes: [..., C, H, W] → [..., out_features].

    Args:
        in_shape: (C, H, W), with H and W of at least 2^len(channels).
        out_features: number of features returned.
        channels: output channels of each convolution.
        style: the options of ``Style``.

    Raises:
        ValueError: if the data are no images, or too small for that many layers.
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        out_features: int,
        channels: Sequence[int],
        **style: Any,
    ) -> None:
        super().__init__()
        sizes = halved_sizes(in_shape, channels)
        chosen = Style(**style)
        layers: list[nn.Module] = []
        for before, after in zip([in_shape[0], *channels], channels, strict=False):
            layers += [nn.Conv2d(before, after, KERNEL, STRIDE, PADDING), chosen.activate()]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(channels[-1] * math.prod(sizes[-1]), out_features)
        chosen.initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        # Convolutions take one batch dimension only.
        lead = x.shape[:-3]
        features = self.head(self.layers(x.reshape(-1, *x.shape[-3:])).flatten(1))
        return features.reshape(*lead, -1)


class ConvDecoder(nn.Module):
    """z → image features: the mirror of ``ConvEncoder``, with ``channels`` in the encoder's order.

    Shapes: [..., in_features] → [..., *out_shape]. Each layer's output padding is solved so that odd
    sizes come back exactly.
    """

    def __init__(
        self,
        in_features: int,
        out_shape: Sequence[int],
        channels: Sequence[int],
        **style: Any,
    ) -> None:
        super().__init__()
        sizes = halved_sizes(out_shape, channels)
        chosen = Style(**style)
        self.start_shape = (channels[-1], *sizes[-1])
        self.stem = nn.Sequential(nn.Linear(in_features, math.prod(self.start_shape)), chosen.activate())
        layers: list[nn.Module] = []
        for i in reversed(range(len(channels))):
            after = channels[i - 1] if i else out_shape[0]
            odd = (sizes[i][0] % 2, sizes[i][1] % 2)
            layers.append(nn.ConvTranspose2d(channels[i], after, KERNEL, STRIDE, PADDING, odd))
            layers += [chosen.activate()] if i else []
        self.layers = nn.Sequential(*layers)
        chosen.initialise(self)

    def forward(self, z: Tensor) -> Tensor:
        lead = z.shape[:-1]
        start = self.stem(z.reshape(-1, z.shape[-1])).unflatten(-1, self.start_shape)
        features = self.layers(start)
        return features.reshape(*lead, *features.shape[1:])


def halved_sizes(shape: Sequence[int], channels: Sequence[int]) -> list[tuple[int, int]]:
    """(H, W) before the first and after each of ``len(channels)`` halvings, rounded down.

    Raises:
        ValueError: if ``shape`` is not (C, H, W), ``channels`` is empty or a side would fall below 1.
    """
    checks.positive_integers("model.channels", channels)
    if len(shape) != 3:
        raise ValueError(
            f"model=conv needs images of shape (channels, height, width), but the data have shape {tuple(shape)}; "
            "use model=mlp"
        )
    most = int(math.log2(min(shape[1:])))
    if not 1 <= len(channels) <= most:
        raise ValueError(
            f"model.channels must have 1 to {most} entries for {shape[1]}×{shape[2]} images "
            f"(each layer halves them), but got {list(channels)}"
        )
    return [(shape[1] >> i, shape[2] >> i) for i in range(len(channels) + 1)]


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
