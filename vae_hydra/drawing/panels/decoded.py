"""Figures of what the decoder makes of chosen latents: a grid, traversals, interpolations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vae_hydra.data.examples import Examples
from vae_hydra.drawing import plots
from vae_hydra.drawing.panels.subject import LATENTS, DoesNotApply, Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Tiles a side of the one grid, and of one of each class.
SIDE, SIDE_OF_A_CLASS = 20, 8
PROBABILITIES = tuple(i / 100 for i in range(5, 100, 10))
# From one code to the other, and how many pairs.
STEPS, PAIRS = 9, 5
# Among so many test examples those of every class are looked for.
LOOKED_AT = 1000


def quantile_grid(subject: Subject) -> Figure:
    """Two latents at the prior's quantiles (i − ½)/n, decoded; a grid of each class if the decoder is given them."""
    _needs_images(subject)
    if subject.module.vae.latent_dim != 2:
        raise DoesNotApply(f"it needs 2 latents, this run has {subject.module.vae.latent_dim}")
    classes = subject.data.classes if subject.module.vae.decodes_by_class else 0
    side = SIDE_OF_A_CLASS if classes else SIDE
    along = subject.positions((torch.arange(side) + 0.5) / side)
    z = grid(along)
    across, up = ([_number(value) for value in along[:, latent].tolist()] for latent in (0, 1))
    if not classes:
        mosaics = {"": plots.Mosaic(subject.decode(z), up[::-1], across)}
    else:
        labels = {f"class {label}": torch.full(z.shape[:-1], label) for label in range(classes)}
        mosaics = {title: plots.Mosaic(subject.decode(z, y), up[::-1], across) for title, y in labels.items()}
    axes = (f"z₂ at {_whose(subject)} quantiles", f"z₁ at {_whose(subject)} quantiles")
    return plots.image_mosaics(mosaics, subject.data.value_range(), axes, gap=0)


def grid(along: Tensor) -> Tensor:
    """Positions of two latents [n, 2] → latents [n, n, 2]: the first grows to the right, the second upwards."""
    first, second = along[:, 0], along[:, 1].flip(0)
    return torch.stack(torch.meshgrid(second, first, indexing="ij")[::-1], dim=-1)


def traversals(subject: Subject) -> Figure:
    """One latent a row over the prior's quantiles, the others at the code of one test example.

    The latents with the most KL are shown, and the tile framed that is nearest to the example's own code.
    """
    _needs_images(subject)
    latents = subject.order[:LATENTS]
    positions = subject.positions(torch.tensor(PROBABILITIES))
    example, code = subject.examples(1), subject.encoded.codes[0]
    y = example.y[0]
    z = code.repeat(len(latents), len(PROBABILITIES), 1)
    for row, latent in enumerate(latents):
        z[row, :, latent] = positions[:, latent]
    images = subject.decode(z, y.expand(z.shape[:-1]))
    nearest = [int((positions[:, latent] - code[latent]).abs().argmin()) for latent in latents]
    blank = images.new_full(images.shape[2:], subject.data.value_range()[1])
    top = [example.x[0].to(images), subject.decode(code, y), *[blank] * (len(PROBABILITIES) - 2)]
    rows = ["x, x̂", *(subject.described(latent) for latent in latents)]
    # Without a KL every latent has quantiles of its own.
    values = [f"\n{_number(value)}" if subject.has_kl else "" for value in positions[:, 0].tolist()]
    columns = [f"{p:.0%}{value}" for p, value in zip(PROBABILITIES, values, strict=True)]
    mosaic = plots.Mosaic(torch.cat([torch.stack(top)[None], images]), rows, columns, [None, *nearest])
    axes = ("", f"z at {_whose(subject)} quantiles; framed: nearest to the example's own code")
    return plots.image_mosaics({subject.which(latents): mosaic}, subject.data.value_range(), axes)


def interpolations(subject: Subject) -> Figure:
    """Pairs of test images of different classes, and what lies on the straight line between their codes.

    Where the decoder is given labels, each pair comes twice: as the class of the one and as that of the other.
    """
    _needs_images(subject)
    first, second = _pairs(subject)
    module = subject.module
    ends = [_codes(subject, examples) for examples in (first, second)]
    weights = torch.linspace(0, 1, STEPS, device=module.device)[:, None]
    z = torch.lerp(ends[0][:, None], ends[1][:, None], weights.to(ends[0]))
    names = [f"{one} → {other}" for one, other in zip(first.y.tolist(), second.y.tolist(), strict=True)]
    if subject.module.vae.decodes_by_class:
        y = torch.stack([first.y, second.y], dim=1).flatten()
        names = [f"{name}, as {label}" for name, label in zip(_twice(names), y.tolist(), strict=True)]
        z, first, second = z.repeat_interleave(2, 0), _doubled(first), _doubled(second)
        images = subject.decode(z, y[:, None].expand(-1, STEPS))
    else:
        images = subject.decode(z)
    between = [examples.x[:, None].to(images) for examples in (first, second)]
    tiles = torch.cat([between[0], images, between[1]], dim=1)
    columns = ["original", *(f"{i / (STEPS - 1):.3g}" for i in range(STEPS)), "original"]
    mosaic = plots.Mosaic(tiles, names, columns)
    return plots.image_mosaics({"": mosaic}, subject.data.value_range(), ("", "way from code to code"))


def _pairs(subject: Subject) -> tuple[Examples, Examples]:
    """Test examples whose classes, in random order, follow one another; of one class any two."""
    examples = subject.examples(LOOKED_AT)
    labels = examples.y.unique()
    if len(labels) < 2:
        chosen = torch.arange(2 * PAIRS)
    else:
        labels = labels[torch.randperm(len(labels), generator=subject.generator)]
        of_each = torch.stack([(examples.y == label).nonzero()[0, 0] for label in labels])
        chosen = of_each[: min(2 * PAIRS, len(labels) // 2 * 2)]
    return examples[chosen[0::2]], examples[chosen[1::2]]


def _codes(subject: Subject, examples: Examples) -> Tensor:
    vae, taken = subject.module.vae, subject.module.take(examples)
    return vae.sampler.code(vae.encode(subject.module.noise.clean(taken.x), taken.y))


def _twice(names: list[str]) -> list[str]:
    return [name for name in names for _ in range(2)]


def _doubled(examples: Examples) -> Examples:
    return examples[torch.arange(len(examples)).repeat_interleave(2)]


def _needs_images(subject: Subject) -> None:
    if not subject.are_images:
        raise DoesNotApply("it needs images, the examples of this run are vectors")


def _whose(subject: Subject) -> str:
    return "the prior's" if subject.has_kl else "the codes'"


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
