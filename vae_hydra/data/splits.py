"""Splits of a dataset: validation, folds, thinning, resizing and hidden labels, as functions of dataset.seed."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from vae_hydra.base import checks
from vae_hydra.data.examples import Examples, Source
from vae_hydra.data.lazy import read

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
    imbalance: float = 1.0,
    change: Callable[[Examples], Examples] = lambda examples: examples,
) -> dict[str, Examples]:
    """Train, validation and test examples of a source; the arguments are those of ``DataModule``.

    ``change`` is applied to the training examples before a share of them becomes the validation examples.
    """
    checks.share("dataset.validation", validation)
    train, test = thin(source.train, fraction, seed), source.test
    checks.integer("dataset.folds", folds, minimum=2)
    if fold is not None:
        if source.in_order or source.gap or source.validation is not None:
            raise ValueError(
                "dataset.fold divides examples at random, so it needs data without a split for validation and without "
                "an order; for a table use dataset.split=random, without windows"
            )
        train, test = fold_out(train, folds, fold, seed)
    train, given = long_tailed(train, imbalance, seed), source.validation
    if resize is not None:
        train, test = resize_images(train, resize), resize_images(test, resize)
        given = None if given is None else resize_images(given, resize)
    train = change(train)
    if given is not None:
        return {"train": train, "validation": given, "test": test}
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


def long_tailed(examples: Examples, imbalance: float, seed: int) -> Examples:
    """Examples with frequencies of classes that fall exponentially with the label, in stored order.

    n_c = ⌊n₀·ρ^(−c/(C−1))⌋, at least 1, for labels c = 0..C−1, with ρ = ``imbalance`` ≥ 1 and the largest n₀ for which
    every class has as many. The members are drawn by ``seed``; those for a larger ρ are among those for a smaller one
    where classes are of equal size.

    Raises:
        ValueError: for ρ < 1, fewer than two classes, or a class without examples.

    Source: Cui et al., "Class-balanced loss based on effective number of samples", 2019.
    """
    if checks.positive("dataset.imbalance", imbalance) < 1:
        raise ValueError(f"dataset.imbalance must be a number ≥ 1, but got {imbalance!r}")
    if imbalance == 1:
        return examples
    sizes = torch.bincount(examples.y).double()
    if len(sizes) < 2 or not sizes.all():
        raise ValueError(
            f"dataset.imbalance={imbalance} needs training examples of two classes or more, and of each class, but "
            f"there are {sizes.int().tolist()} by class; use dataset.imbalance=1"
        )
    shares = imbalance ** (-torch.arange(len(sizes), dtype=torch.float64) / (len(sizes) - 1))
    # A product that should be whole may fall short by a rounding error.
    counts = ((sizes / shares).min() * shares + 1e-6).floor().clamp(min=1).long()
    generator = generator_for(seed, "imbalance")
    kept = [random_members(examples.y, label, count, generator) for label, count in enumerate(counts.tolist())]
    return examples[torch.cat(kept).sort().values]


def random_members(y: Tensor, label: int, count: int, generator: torch.Generator) -> Tensor:
    """Positions of ``count`` examples of a class, drawn at random."""
    members = (y == label).nonzero()[:, 0]
    return members[torch.randperm(len(members), generator=generator)[:count]]


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
    # Data that keep their size need no torchvision.
    from torchvision.transforms.functional import resize as resize_batch

    resized = [resize_batch(read(x), list(sides), antialias=True) for x in examples.x.split(CHUNK)]
    return Examples(torch.cat(resized), examples.y)


def test_count(count: int, share: float) -> int:
    """Number of examples to test on, at least one, for a share in (0, 1) of ``count``."""
    if not checks.share("dataset.test", share) > 0:
        raise ValueError(f"dataset.test must be a number in (0, 1), but got {share!r}")
    return max(1, round(count * share))


def random_test(count: int, tested: int, seed: int) -> tuple[Tensor, Tensor]:
    """Positions of the training examples and of the ``tested`` test examples among ``count``, each in order."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return order[tested:].sort().values, order[:tested].sort().values


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
    if not torch.equal(mine.y, theirs.y):
        return False
    if mine.x.shape != theirs.x.shape or mine.x.dtype != theirs.x.dtype:
        return True
    return all(torch.equal(*parts) for parts in zip(mine.x.split(CHUNK), theirs.x.split(CHUNK), strict=True))


def hide_labels(examples: Examples, labelled: float, generator: torch.Generator) -> Examples:
    """Keep the labels of a random share of every class, at least one, and set the others to −1."""
    checks.positive_share("classifier.labelled", labelled)
    y = torch.full_like(examples.y, -1)
    for label in present_labels(examples.y):
        count = max(1, round(int((examples.y == label).sum()) * labelled))
        y[random_members(examples.y, label, count, generator)] = label
    return Examples(examples.x, y)


def present_labels(y: Tensor) -> list[int]:
    """The labels that occur, in order, without −1."""
    return [label for label in y.unique().tolist() if label >= 0]


def labelled_share(examples: Examples) -> float:
    """Share of the examples with a label; 1 without examples."""
    return (examples.y >= 0).double().mean().item() if len(examples) else 1.0


def generator_for(seed: int, purpose: str) -> torch.Generator:
    """A generator for one purpose, independent of the generators for other purposes."""
    return torch.Generator().manual_seed(mixed(seed, zlib.crc32(purpose.encode())))


def mixed(*entropy: int) -> int:
    """Mix several numbers to one seed, so that neighbouring numbers give unrelated seeds."""
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])
