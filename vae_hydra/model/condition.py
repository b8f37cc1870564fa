"""Class labels as inputs of the model, beside the encoder's input and the decoder's latents."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vae_hydra.base import checks

ENCODINGS = ("one_hot", "scalar")


class Condition(nn.Module):
    """Encode labels y as numbers, and put them beside x for the encoder and, on request, beside z for the decoder.

    ``one_hot``: K values, all 0 for an unknown label (y = −1). ``scalar``: y/(K − 1), or −1 for an unknown label.
    Images receive the code as constant channels; vectors and latents receive it as further values.

    Args:
        classes: number K of classes.
        encoding: ``one_hot`` or ``scalar``.
        decoder: whether the decoder receives the label too: a conditional VAE, which generates by class.

    Raises:
        ValueError: for an unknown encoding, or data with fewer than two classes.

    >>> Condition(3)(torch.tensor([2, -1]))
    tensor([[0., 0., 1.],
            [0., 0., 0.]])
    >>> Condition(3).beside_input(torch.zeros(5, 1, 8, 8), torch.zeros(5), event_dims=3).shape
    torch.Size([5, 4, 8, 8])
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
        """Shape of one encoder input with the label, from its shape without."""
        return (shape[0] + self.width, *shape[1:])

    def latent_values(self, latent_dim: int) -> int:
        """Number of inputs of the decoder."""
        return latent_dim + self.width if self.decoder else latent_dim

    def check(self, y: Tensor) -> None:
        """Raise ValueError for labels [...] outside the classes."""
        if not bool(((y >= 0) & (y < self.classes)).all()):
            raise ValueError(f"labels must be from 0 to {self.classes - 1}, but got {y.tolist()}")

    def forward(self, y: Tensor) -> Tensor:
        """Encode labels: [...] → [..., width]."""
        if self.encoding == "one_hot":
            return (y.unsqueeze(-1) == torch.arange(self.classes, device=y.device)).float()
        known = y.unsqueeze(-1).float() / (self.classes - 1)
        return torch.where(y.unsqueeze(-1) < 0, -1.0, known)

    def beside_input(self, x: Tensor, y: Tensor, event_dims: int) -> Tensor:
        """x [..., C, H, W] or [..., D] with the label of each example [...] as further channels or values.

        ``event_dims`` is the number of axes of one example.
        """
        sides = x.shape[x.dim() - event_dims + 1 :]
        code = self(y).to(x.dtype).reshape(*y.shape, self.width, *[1] * len(sides))
        return torch.cat([x, code.expand(*y.shape, self.width, *sides)], dim=-event_dims)

    def beside_latents(self, z: Tensor, y: Tensor) -> Tensor:
        """z [..., L] with each label as further values; z alone for a decoder without labels."""
        if not self.decoder:
            return z
        code = self(y).to(z.dtype)
        return torch.cat([z, code.expand(*z.shape[:-1], self.width)], -1)
