"""Figures of decoded latents: a grid, traversals, interpolations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vae_hydra.data.examples import Examples
from vae_hydra.drawing import plots
from vae_hydra.drawing.panels.subject import LATENTS, DoesNotApply, Subject
from vae_hydra.drawing.plots.names import latent_name
from vae_hydra.runs.posteriors import posteriors
from vae_hydra.runs.trained import traversal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Tiles along a side of a single grid, and of the grid of each class.
SIDE, SIDE_OF_A_CLASS = 20, 8
PROBABILITIES = tuple(i / 100 for i in range(5, 100, 10))
# Images from one code to the other, and pairs of codes.
STEPS, PAIRS = 9, 5
# Test examples from which the pairs are chosen.
CANDIDATES = 1000


def quantile_grid(subject: Subject) -> Figure:
    """Two latents decoded at the prior's quantiles (i − ½)/n; a grid a class if the decoder is given the class."""
    _needs_images(subject)
    if subject.latent_dim != 2:
        raise DoesNotApply(f"it needs 2 latents, this run has {subject.latent_dim}")
    classes = subject.data.classes if subject.module.vae.decodes_by_class else 0
    side = SIDE_OF_A_CLASS if classes else SIDE
    along = subject.positions((torch.arange(side) + 0.5) / side)
    z = grid(along)
    across, up = ([_number(value) for value in along[:, latent].tolist()] for latent in (0, 1))
    if not classes:
        mosaics = {"": plots.Mosaic(subject.decode(z), up[::-1], across)}
    else:
        mosaics = {f"class {y}": plots.Mosaic(subject.decode(z, y), up[::-1], across) for y in range(classes)}
    first, second = (f"{latent_name(latent)} at {_quantiles(subject)}" for latent in (0, 1))
    return plots.image_mosaics(mosaics, subject.limits, (second, first))


def grid(along: Tensor) -> Tensor:
    """Latents [n, n, 2] from positions of two latents [n, 2]: z₀ grows to the right, z₁ upwards."""
    first, second = along[:, 0], along[:, 1].flip(0)
    return torch.stack(torch.meshgrid(second, first, indexing="ij")[::-1], dim=-1)


def traversals(subject: Subject) -> Figure:
    """One latent a row at the prior's quantiles, the others at the code of one test example.

    The rows are the latents with the most KL; a frame marks the tile nearest to the example's own code.
    """
    _needs_images(subject)
    latents = subject.order[:LATENTS]
    positions = subject.positions(torch.tensor(PROBABILITIES))
    example = subject.examples(1)
    code, y = posteriors(subject.module, example).codes[0], example.y[0]
    images = subject.decode(traversal(code, latents, positions), y)
    nearest = [int((positions[:, latent] - code[latent]).abs().argmin()) for latent in latents]
    blank = images.new_full(images.shape[2:], subject.limits[1])
    top = [example.x[0].to(images), subject.decode(code, y), *[blank] * (len(PROBABILITIES) - 2)]
    rows = ["x, x̂", *(subject.latent_title(latent) for latent in latents)]
    # A trained prior, and codes without a KL, have other quantiles for each latent.
    is_shared = bool((positions == positions[:, :1]).all())
    values = [f"\n{_number(value)}" if is_shared else "" for value in positions[:, 0].tolist()]
    columns = [f"{p:.0%}{value}" for p, value in zip(PROBABILITIES, values, strict=True)]
    mosaic = plots.Mosaic(torch.cat([torch.stack(top)[None], images]), rows, columns, [None, *nearest])
    axes = ("", f"z at {_quantiles(subject)}; framed: nearest to the example's own code")
    return plots.image_mosaics({subject.choice(latents): mosaic}, subject.limits, axes)


def interpolations(subject: Subject) -> Figure:
    """Pairs of test images of different classes, and decoded points of the straight line between their codes.

    If the decoder is given the class, each pair is shown twice: decoded as the one class and as the other.
    """
    _needs_images(subject)
    first, second = _pairs(subject)
    ends = [posteriors(subject.module, examples).codes for examples in (first, second)]
    z = torch.lerp(ends[0][:, None], ends[1][:, None], torch.linspace(0, 1, STEPS)[:, None])
    names = [f"{one} → {other}" for one, other in zip(first.y.tolist(), second.y.tolist(), strict=True)]
    if subject.module.vae.decodes_by_class:
        y = torch.stack([first.y, second.y], dim=1).flatten()
        names = [f"{names[i // 2]}, as {label}" for i, label in enumerate(y.tolist())]
        twice = torch.arange(len(first)).repeat_interleave(2)
        z, first, second = z[twice], first[twice], second[twice]
        images = subject.decode(z, y[:, None])
    else:
        images = subject.decode(z)
    between = [examples.x[:, None].to(images) for examples in (first, second)]
    tiles = torch.cat([between[0], images, between[1]], dim=1)
    columns = ["original", *(f"{i / (STEPS - 1):.3g}" for i in range(STEPS)), "original"]
    mosaic = plots.Mosaic(tiles, names, columns)
    return plots.image_mosaics({"": mosaic}, subject.limits, ("", "way from code to code"))


def _pairs(subject: Subject) -> tuple[Examples, Examples]:
    """Pairs of test examples, the classes in random order two by two; any examples where there is one class."""
    examples = subject.examples(CANDIDATES)
    labels = examples.y.unique()
    if len(examples) < 2:
        raise DoesNotApply("it needs two test examples, this run has one")
    if len(labels) < 2:
        chosen = torch.arange(min(2 * PAIRS, len(examples) // 2 * 2))
    else:
        labels = labels[torch.randperm(len(labels), generator=subject.generator)]
        one_of_each = torch.stack([(examples.y == label).nonzero()[0, 0] for label in labels])
        chosen = one_of_each[: min(2 * PAIRS, len(labels) // 2 * 2)]
    return examples[chosen[0::2]], examples[chosen[1::2]]


def _needs_images(subject: Subject) -> None:
    if not subject.are_images:
        raise DoesNotApply("it needs images, the examples of this run are vectors")


def _quantiles(subject: Subject) -> str:
    return "the prior's quantiles" if subject.has_kl else "the codes' quantiles"


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
