"""Splits of a dataset: validation, folds, thinning, resizing and hidden labels, as functions of dataset.seed."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torchvision.transforms.functional import resize as resize_batch

from vae_hydra.base import checks
from vae_hydra.data.examples import Examples, Source

# Number of examples to resize or binarise at a time, so that floats of all of them never fill the memory.
CHUNK = 1000


def split_source(
    source: Source,
    validation: float,
    fraction: float,
    folds: int,
    fold: int | None,
    resize: int | Sequence[int] | None,
    seed: int,
) -> dict[str, Examples]:
    """Train, validation and test examples of a source; the arguments are those of ``DataModule``."""
    checks.share("dataset.validation", validation)
    train, test = thin(source.train, fraction, seed), source.test
    checks.integer("dataset.folds", folds, minimum=2)
    if fold is not None:
        if source.in_order or source.gap or source.validation is not None:
            raise ValueError("dataset.fold divides rows at random; use dataset.split=random, without windows")
        train, test = fold_out(train, folds, fold, seed)
    if resize is not None:
        train, test = resize_images(train, resize), resize_images(test, resize)
    if source.validation is not None:
        return {"train": train, "validation": source.validation, "test": test}
    train, validation_part = (
        last_apart(train, validation, source.gap) if source.in_order else set_apart(train, validation, seed)
    )
    return {"train": train, "validation": validation_part, "test": test}


def thin(examples: Examples, fraction: float, seed: int) -> Examples:
    """A random share of the examples, at least one, in stored order."""
    if checks.positive_share("dataset.fraction", fraction) == 1:
        return examples
    order = torch.randperm(len(examples), generator=generator_for(seed, "fraction"))
    count = max(1, round(len(examples) * fraction))
    return examples[order[:count].sort().values]


def fold_out(examples: Examples, folds: int, fold: int, seed: int) -> tuple[Examples, Examples]:
    """All folds except one, and that one, each in stored order."""
    checks.integer("dataset.fold", fold, minimum=0, maximum=folds - 1)
    if len(examples) < folds:
        raise ValueError(
            f"dataset.folds={folds} needs as many training examples, but there are {len(examples)}; "
            "use fewer folds or a larger dataset.fraction"
        )
    order = torch.randperm(len(examples), generator=generator_for(seed, "folds"))
    parts = list(order.tensor_split(folds))
    held_out = parts.pop(fold)
    return examples[torch.cat(parts).sort().values], examples[held_out.sort().values]


def resize_images(examples: Examples, size: int | Sequence[int]) -> Examples:
    """Resize images [N, C, H, W]; their dtype stays the same."""
    sides = [size, size] if isinstance(size, int) else size
    if not isinstance(sides, (list, tuple)) or len(sides) != 2:
        raise ValueError(f"dataset.resize must be null, a side or [height, width], but got {size!r}")
    checks.positive_integers("dataset.resize", sides)
    if examples.x.dim() != 4:
        raise ValueError(
            f"dataset.resize needs images [channels, height, width], but the examples of this dataset have shape "
            f"{list(examples.x.shape[1:])}; use dataset.resize=null"
        )
    resized = [resize_batch(x, list(sides), antialias=True) for x in examples.x.split(CHUNK)]
    return Examples(torch.cat(resized), examples.y)


def set_apart(examples: Examples, validation: float, seed: int) -> tuple[Examples, Examples]:
    """Split into training and validation examples, with at least one for training."""
    count = int(len(examples) * validation)
    if not count:
        return examples, examples[torch.empty(0, dtype=torch.long)]
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(seed))
    return examples[order[count:]], examples[order[:count]]


def last_apart(examples: Examples, validation: float, gap: int) -> tuple[Examples, Examples]:
    """Split in stored order: the last examples for validation, and ``gap`` of those before for neither."""
    count = int(len(examples) * validation)
    border = len(examples) - count
    return examples[torch.arange(max(1, border - gap * bool(count)))], examples[torch.arange(border, len(examples))]


def are_the_same(mine: Examples, theirs: Examples) -> bool:
    """Whether two splits hold the same examples in the same order, apart from resizing and binarisation."""
    comparable = mine.x.shape == theirs.x.shape and mine.x.dtype == theirs.x.dtype
    return torch.equal(mine.y, theirs.y) and (not comparable or torch.equal(mine.x, theirs.x))


def hide_labels(examples: Examples, labelled: float, generator: torch.Generator) -> Examples:
    """Keep the labels of a random share of every class, at least one, and set the others to −1."""
    checks.positive_share("classifier.labelled", labelled)
    y = torch.full_like(examples.y, -1)
    for label in examples.y.unique():
        members = (examples.y == label).nonzero()[:, 0]
        count = max(1, round(len(members) * labelled))
        y[members[torch.randperm(len(members), generator=generator)[:count]]] = label
    return Examples(examples.x, y)


def labelled_share(examples: Examples) -> float:
    """Share of the examples with a label; 1 without examples."""
    return (examples.y >= 0).double().mean().item() if len(examples) else 1.0


def generator_for(seed: int, purpose: str) -> torch.Generator:
    """A generator for one purpose, independent of the generators for other purposes."""
    return torch.Generator().manual_seed(mixed(seed, zlib.crc32(purpose.encode())))


def mixed(*entropy: int) -> int:
    """Mix several numbers to one seed, so that neighbouring numbers give unrelated seeds."""
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])
