"""Points of the latent space that the page decodes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vae_hydra.data.examples import Examples
from vae_hydra.drawing.page.sliders import latents_at
from vae_hydra.runs.trained import TrainedModel, traversal


def medians(model: TrainedModel) -> Tensor:
    """Every latent at the prior's median, [L]."""
    return latents_at(model.prior, torch.tensor(0.5))


def indices_of(examples: Examples, label: int | None) -> Tensor:
    """Indices of the examples of a class, or of all, [N]."""
    return torch.arange(len(examples)) if label is None else (examples.y == label).nonzero().squeeze(1)


def traversals(model: TrainedModel, z: Tensor, latents: Sequence[int], positions: Tensor, label: int) -> Tensor:
    """Decoded traversals from the point z [L], a row for each of ``latents``: [R, K, *x_shape].

    Args:
        model: the model.
        z: the point.
        latents: the R latents that move, each alone.
        positions: probabilities of the K quantiles of the prior that it moves to.
        label: for a decoder that is given the class.
    """
    values = latents_at(model.prior, positions[:, None])
    return model.decode(traversal(z, latents, values), label)


def plane(model: TrainedModel, z: Tensor, across: int, up: int, cells: int, label: int) -> Tensor:
    """The point z [L] with two latents at the prior's quantiles (i − ½)/cells, decoded: [cells, cells, *x_shape].

    Along a row the latent ``across`` grows, from row to row the latent ``up``.
    """
    values = latents_at(model.prior, ((torch.arange(cells) + 0.5) / cells)[:, None])
    points = z.repeat(cells, cells, 1)
    points[..., across] = values[:, across]
    points[..., up] = values[:, up].unsqueeze(1)
    return model.decode(points, label)
