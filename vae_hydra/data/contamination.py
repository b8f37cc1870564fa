"""Contamination: a share of the training examples replaced by outliers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vae_hydra.base import checks
from vae_hydra.data.examples import Examples, Source
from vae_hydra.data.lazy import LazyRows, extremes
from vae_hydra.data.outlier_draws import shuffled_values, uniform_values
from vae_hydra.data.splits import CHUNK, generator_for, resize_images

KINDS = ("uniform", "normal", "shuffled")
# The label of outliers: no class.
UNLABELLED = -1


def contaminate(examples: Examples, share: float, contaminant: str | Source, scale: float, seed: int) -> Examples:
    """Replace a random share of the examples, at least one, by outliers with the label −1.

    The examples that are replaced, and what replaces them, are functions of ``seed``: a larger share contains the
    outliers of every smaller one. Outliers keep the dtype of the examples.

    - ``uniform``: independent values, uniform over the range of the examples, for vectors of each value's own.
    - ``normal``: independent values with the mean and standard deviation of the examples, for vectors of each value's
      own; those of images are clipped to the range of the examples.
    - ``shuffled``: the pixels, or the values, of the replaced example in random order.
    - a source: its training examples, drawn without replacement; images are resized.

    Args:
        examples: as stored.
        share: in [0, 1).
        contaminant: one of ``KINDS``, or a source.
        scale: factor of the stored values, as of ``Source``.
        seed: of all draws.

    Raises:
        ValueError: for options out of range, or a source of too few examples or of another shape.

    Source: Huber, "Robust estimation of a location parameter", 1964: the model (1 − ε)·F + ε·H.
    """
    if not checks.share("dataset.contamination", share):
        return examples
    count = max(1, round(len(examples) * share))
    places = torch.randperm(len(examples), generator=generator_for(seed, "contamination"))[:count]
    if isinstance(contaminant, Source):
        rows = _of_source(contaminant, count, examples.x, scale, seed)
    else:
        kind = checks.one_of("dataset.contaminant", contaminant, KINDS)
        rows = _drawn(_maker(kind, examples.x), examples.x, places, generator_for(seed, f"contaminant {kind}"))
    return Examples(_replaced(examples.x, places, rows), examples.y.index_fill(0, places, UNLABELLED))


def _replaced(x: Tensor, places: Tensor, rows: Tensor) -> Tensor:
    return x.replaced(places, rows) if isinstance(x, LazyRows) else x.index_copy(0, places, rows)


# (number of outliers, their examples, generator) → outliers as floats in stored units.
Maker = Callable[[Tensor, torch.Generator], Tensor]


def _drawn(make: Maker, x: Tensor, places: Tensor, generator: torch.Generator) -> Tensor:
    """Outliers for the examples at some places, in blocks of one size, so that a smaller share has the same ones."""
    blocks = []
    for part in places.split(CHUNK):
        # A block is drawn whole even where fewer are needed.
        whole = torch.cat([part, part[:1].expand(CHUNK - len(part))])
        blocks.append(_stored(make(x[whole], generator)[: len(part)], x.dtype))
    return torch.cat(blocks)


def _stored(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Values in the dtype of the examples; bytes are rounded."""
    return values.round().clamp(0, 255).to(dtype) if dtype == torch.uint8 else values.to(dtype)


def _maker(kind: str, x: Tensor) -> Maker:
    if kind == "shuffled":
        return shuffled_values
    least, greatest = _range(x)
    if kind == "uniform":
        # Rounded, the least and the greatest byte would be half as likely as the others.
        margin = 0.4999 if x.dtype == torch.uint8 else 0.0
        return lambda like, generator: uniform_values(like.shape, least - margin, greatest + margin, generator)
    mean, deviation = _moments(x)
    are_images = x.dim() > 2

    def normal(like: Tensor, generator: torch.Generator) -> Tensor:
        values = mean + deviation * torch.randn(*like.shape, generator=generator)
        return values.clamp(least, greatest) if are_images else values

    return normal


def _range(x: Tensor) -> tuple[Tensor, Tensor]:
    """Least and greatest value: of images over all pixels, of vectors of each value [D]."""
    least, greatest = extremes(x, CHUNK).float()
    return (least.min(), greatest.max()) if x.dim() > 2 else (least, greatest)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation: of images over all pixels, of vectors of each value [D]."""
    axes = tuple(range(x.dim())) if x.dim() > 2 else (0,)
    sums = torch.stack(
        [torch.stack([part.double().sum(axes), part.double().square().sum(axes)]) for part in x.split(CHUNK)]
    )
    mean, square = sums.sum(0) / (x.numel() // sums[0, 0].numel())
    return mean.float(), (square - mean.square()).clamp(min=0).sqrt().float()


def _of_source(source: Source, count: int, x: Tensor, scale: float, seed: int) -> Tensor:
    """Training examples of another source, in the units and the size of ``x``."""
    others = source.train
    if count > len(others):
        raise ValueError(
            f"dataset.contamination needs {count:,} outliers, but dataset.contaminant has {len(others):,} training "
            "examples; use a smaller share or another contaminant"
        )
    others = others[torch.randperm(len(others), generator=generator_for(seed, "contaminants"))[:count]]
    if x.dim() == others.x.dim() == 4 and others.x.shape[2:] != x.shape[2:]:
        others = resize_images(others, list(x.shape[2:]))
    if others.x.shape[1:] != x.shape[1:]:
        raise ValueError(
            f"dataset.contaminant has examples of shape {list(others.x.shape[1:])}, but those of the dataset have "
            f"shape {list(x.shape[1:])}; use another contaminant"
        )
    return torch.cat([_stored(part.float() * (source.scale / scale), x.dtype) for part in others.x.split(CHUNK)])
