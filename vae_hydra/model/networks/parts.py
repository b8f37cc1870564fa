"""Parts of every network: activations, initialisations, residual blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vae_hydra.base import checks

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
    """A network's options besides its sizes: activation and initialisation of the weights.

    Args:
        activation: a key of ``ACTIVATIONS``, between layers.
        init: one of ``INITIALISATIONS``. ``default`` is torch's own; ``glorot_uniform`` and ``kaiming_normal``
            (fan in; ``kaiming_fan_out``: fan out) are torch.nn.init's; ``normal`` is N(0, init_std²).
        init_std: standard deviation of the weights with ``init=normal``.

    Raises:
        ValueError: for an unknown name, or a standard deviation that is not > 0.
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
        """Draw new weights for every linear and convolutional layer of ``network``, and set biases to zero.

        Residual blocks always start as the identity.
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


class ResidualBlock(nn.Module):
    """x + conv(act(conv(act(x)))) with 3×3 convolutions.

    ``Style.initialise`` sets the last convolution to zero, so that a new block is the identity.

    Shapes: [B, C, H, W] → [B, C, H, W].
    """

    def __init__(self, channels: int, style: Style) -> None:
        super().__init__()
        self.inner = nn.Sequential(style.activate(), nn.Conv2d(channels, channels, 3, padding=1), style.activate())
        self.last = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.last(self.inner(x))
