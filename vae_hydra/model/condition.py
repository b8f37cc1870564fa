"""Class labels given to the model: beside the encoder's input, and beside the decoder's latents."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vae_hydra.base import checks

ENCODINGS = ("one_hot", "scalar")


class Condition(nn.Module):
    """y → numbers that encoder and, if asked, decoder are given besides x and z.

    ``one_hot``: K values, all 0 for an unknown label (y = −1). ``scalar``: y/(K − 1), −1 for an unknown one.
    Images get them as constant channels, vectors and latents as further values.

    Args:
        classes: number K of classes.
        encoding: ``one_hot`` or ``scalar``.
        decoder: whether the decoder is given them too, which makes a conditional VAE that generates by class.

    Raises:
        ValueError: for an unknown encoding, or data with fewer than two classes.
    """

    def __init__(self, classes: int, encoding: str = "one_hot", decoder: bool = False) -> None:
        super().__init__()
        if classes < 2:
            raise ValueError(
                f"condition needs data with two classes or more, but these have {classes}; use condition=none"
            )
        self.classes = classes
        self.encoding = checks.one_of("condition.encoding", encoding, ENCODINGS)
        self.decoder = checks.boolean("condition.decoder", decoder)
        self.width = classes if encoding == "one_hot" else 1

    def input_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Shape of one encoder input with the label beside it, from its shape without."""
        return (shape[0] + self.width, *shape[1:])

    def latent_values(self, latent_dim: int) -> int:
        """Number of values that the decoder is given."""
        return latent_dim + self.width if self.decoder else latent_dim

    def check(self, y: Tensor) -> None:
        """Refuse labels [...] that are none of the classes; ValueError says which there are."""
        if not bool(((y >= 0) & (y < self.classes)).all()):
            raise ValueError(f"labels must be from 0 to {self.classes - 1}, but got {y.tolist()}")

    def forward(self, y: Tensor) -> Tensor:
        """The label as numbers: [...] → [..., width]."""
        if self.encoding == "one_hot":
            return (y.unsqueeze(-1) == torch.arange(self.classes, device=y.device)).float()
        known = y.unsqueeze(-1).float() / (self.classes - 1)
        return torch.where(y.unsqueeze(-1) < 0, -1.0, known)

    def beside_input(self, x: Tensor, y: Tensor, event_dims: int) -> Tensor:
        """x [..., C, H, W] or [..., D] with the label of each example [...] as further channels or values."""
        sides = x.shape[x.dim() - event_dims + 1 :]
        code = self(y).to(x.dtype).reshape(*y.shape, self.width, *[1] * len(sides))
        return torch.cat([x, code.expand(*y.shape, self.width, *sides)], dim=-event_dims)

    def beside_latents(self, z: Tensor, y: Tensor) -> Tensor:
        """z [..., L] with the label of each as further values; z alone if the decoder is not given them."""
        if not self.decoder:
            return z
        code = self(y).to(z.dtype)
        return torch.cat([z, code.expand(*z.shape[:-1], self.width)], -1)
