"""Multilayer perceptrons with given widths, or with widths that narrow linearly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from vae_hydra.base import checks
from vae_hydra.model.networks.parts import Style


class MLPEncoder(nn.Module):
    """x → features through fully connected layers.

    Shapes: [..., *in_shape] → [..., out_features], with any leading dimensions.

    Args:
        in_shape: shape of one input, e.g. (1, 28, 28).
        out_features: number of features returned.
        widths: units of each hidden layer; an empty list makes a linear map.
        compress: whether the layers receive sign(x)·ln(1 + |x|). A linear map of heavy-tailed values makes features
            beyond the precision of exp, e.g. of a LogNormal posterior. p(x|z) stays a density of x.
        style: the options of ``Style``.

    Raises:
        ValueError: for an option out of its range.

    >>> import torch
    >>> MLPEncoder((1, 28, 28), out_features=20, widths=[256])(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 20])
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        out_features: int,
        widths: Sequence[int],
        compress: bool = False,
        **style: Any,
    ) -> None:
        super().__init__()
        self.in_dims = len(in_shape)
        self.compress = checks.boolean("model.encoder.compress", compress)
        self.layers = _mlp(math.prod(in_shape), widths, out_features, Style(**style))

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(-self.in_dims)
        return self.layers(x.sign() * x.abs().log1p() if self.compress else x)


class MLPDecoder(nn.Module):
    """z → features through fully connected layers.

    Shapes: [..., in_features] → [..., *out_shape]. Arguments as for ``MLPEncoder``.
    """

    def __init__(self, in_features: int, out_shape: Sequence[int], widths: Sequence[int], **style: Any) -> None:
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
        depth: number of layers, including the last.
        latent_dim: the width that the layers narrow to; ``out_features`` may differ.

    Raises:
        ValueError: if x has fewer values than ``latent_dim``.
    """

    def __init__(self, in_shape: Sequence[int], out_features: int, depth: int, latent_dim: int, **style: Any) -> None:
        super().__init__(in_shape, out_features, tapered_widths(math.prod(in_shape), latent_dim, depth), **style)


class TaperedDecoder(MLPDecoder):
    """The mirror of ``TaperedEncoder``: its hidden layers widen linearly from ``latent_dim`` to the values of x.

    Shapes: [..., in_features] → [..., *out_shape]. Arguments and errors as for ``TaperedEncoder``.
    """

    def __init__(self, in_features: int, out_shape: Sequence[int], depth: int, latent_dim: int, **style: Any) -> None:
        widths = tapered_widths(math.prod(out_shape), latent_dim, depth)
        super().__init__(in_features, out_shape, widths[::-1], **style)


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
