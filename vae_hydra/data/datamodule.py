"""The DataModule: a dataset, split into train, validation and test, and served in batches."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from vae_hydra.base import checks
from vae_hydra.data.contamination import contaminate
from vae_hydra.data.examples import Examples, Source
from vae_hydra.data.lazy import LazyRows, extremes
from vae_hydra.data.loaders import InMemoryDataset, ResumableLoader, ResumableSampler, already_a_batch
from vae_hydra.data.preparation import TRANSFORMS, Preparation, check_values
from vae_hydra.data.scaling import Scaling, scaling_of
from vae_hydra.data.splits import (
    CHUNK,
    generator_for,
    hide_labels,
    labelled_share,
    mixed,
    present_labels,
    split_source,
)
from vae_hydra.data.table_rows import described

BINARISATIONS = ("none", "static", "dynamic")
SPLITS = ("train", "validation", "test")


class DataModule(L.LightningDataModule):
    """Serve batches (x, y): gather stored values, then scale and transform them on the device.

    Args:
        source: the examples.
        batch_size: number of examples in a training batch, over all devices together.
        eval_batch_size: number of examples in a validation or test batch.
        validation: share of the training examples for validation, in [0, 1); 0 trains on all.
        transform: applied after scaling: ``none``, ``exp`` for e^x, or ``log1p`` for ln(1 + x), which needs x > −1.
        seed: seed of every draw here except the order of batches.
        order_seed: seed of the order of the training batches.
        fraction: share of the training examples to keep, in (0, 1]; a larger share contains every smaller one.
            The test set stays whole; a fold for testing is one of the examples that are kept.
        folds: number of parts of nearly equal size into which cross-validation divides the training examples.
        fold: index of the part that becomes the test set; training and validation use the others, and nothing uses
            the source's own test set. None for no cross-validation.
        resize: side, or [height, width], of resized images (bilinear, antialiased); None keeps their size.
        binarise: ``static`` draws each pixel once as 0 or 1, with its value as the probability of 1;
            ``dynamic`` draws training examples anew each time they are seen, and scores the same draws as
            ``static``; ``none`` keeps grey values.
        labelled: share of the training examples of every class that keep their label in training, in (0, 1], at
            least one, and the same share of the validation examples, which choose the weights. The others are
            served with the label −1. ``splits`` keep all labels, for tests and evaluations.
        scaling: of each column of vectors, after ``transform``, by the training examples alone: ``standard``,
            ``robust`` or ``none``; see ``scaling_of``.
        imbalance: greatest over least number of training examples of a class, ≥ 1; see ``splits.long_tailed``.
        contamination: share of the training examples that are replaced by outliers with the label −1, in [0, 1), before
            the validation examples are taken from them; see ``contaminate``. The test set stays clean, and so do
            validation examples that the source sets apart itself.
        contaminant: ``uniform``, ``normal``, ``shuffled``, or a source of outliers.

    Attributes:
        splits: examples by split, as stored; if binarised, drawn once, including those for training.
        x_shape: shape of an example.
        classes: number of classes of the source; labels are 0..classes−1.
        test_split: name of the split that the trainer tests on.
        train_labelled, validation_labelled: share of the examples served with a label.
        truth: the distributions that the columns were drawn from, in the units of ``restore``; None if not known.

    Raises:
        ValueError: for options that are out of range or do not fit the examples.
    """

    def __init__(
        self,
        source: Source,
        batch_size: int,
        eval_batch_size: int = 1000,
        validation: float = 0.1,
        transform: str = "none",
        seed: int = 0,
        order_seed: int = 0,
        fraction: float = 1.0,
        folds: int = 5,
        fold: int | None = None,
        resize: int | Sequence[int] | None = None,
        binarise: str = "none",
        labelled: float = 1.0,
        scaling: str = "none",
        imbalance: float = 1.0,
        contamination: float = 0.0,
        contaminant: str | Source = "uniform",
    ) -> None:
        super().__init__()
        self.batch_size = checks.positive_integer("dataset.batch_size", batch_size)
        self.eval_batch_size = checks.positive_integer("dataset.eval_batch_size", eval_batch_size)
        checks.non_negative_integer("dataset.seed", seed)
        # DistributedSampler shuffles by seed + epoch. Unmixed, seed 1 would repeat the orders of seed 0.
        self.order_seed = mixed(checks.non_negative_integer("seed", order_seed))
        self._preparation = Preparation(source.scale, checks.one_of("dataset.transform", transform, TRANSFORMS))
        self._binarise = checks.one_of("dataset.binarise", binarise, BINARISATIONS)
        parts = [part for part in (source.train, source.test, source.validation) if part is not None]
        self.classes = 1 + max(int(part.y.max()) for part in parts if len(part))
        self.test_split = "test"

        self.digest = source.digest

        def contaminated(examples: Examples) -> Examples:
            return contaminate(examples, contamination, contaminant, source.scale, seed)

        self.splits = split_source(
            source, validation, fraction, folds, fold, resize, seed, imbalance, change=contaminated
        )
        grey = self.splits["train"]
        self.x_shape = tuple(grey.x.shape[1:])
        self.table, self.truth = source.table, source.truth
        check_values(self._preparation, binarise, self._extremes(SPLITS))
        self._preparation = replace(self._preparation, scaling=self._scaling_of(scaling, grey))
        if binarise != "none":
            self.splits = {name: self._drawn_once(part, name, seed) for name, part in self.splits.items()}
        # Dynamic binarisation draws from grey values each time.
        served = grey if binarise == "dynamic" else self.splits["train"]
        self.served = hide_labels(served, labelled, generator_for(seed, "labelled"))
        # Validation chooses the weights, so it must not use more labels than training.
        generator = generator_for(seed, "labelled validation")
        self.validating = hide_labels(self.splits["validation"], labelled, generator)
        self.train_labelled = labelled_share(self.served)
        self.validation_labelled = labelled_share(self.validating)

    def with_order(self, seed: int) -> DataModule:
        """The same examples, served in the order of another seed."""
        other = copy.copy(self)
        other.order_seed = mixed(checks.non_negative_integer("seed", seed))
        return other

    def scaled_as(self, other: DataModule) -> DataModule:
        """The same examples, scaled as those of ``other``."""
        scaled = copy.copy(self)
        scaled._preparation = replace(self._preparation, scaling=other._preparation.scaling)
        return scaled

    @property
    def own_digest(self) -> dict[str, Any]:
        """The entry of a run's record that tells the user's own data from changed ones; empty for other data."""
        digest = self.table.digest if self.table else self.digest
        return {"data_digest": digest} if digest else {}

    @property
    def has_validation(self) -> bool:
        """Whether there are validation examples."""
        return len(self.splits["validation"]) > 0

    @property
    def is_binary(self) -> bool:
        """Whether every prepared value is 0 or 1."""
        if self._preparation.scaling is not None:
            return False
        if not set(self.full_range()) <= {0, 1}:
            return False
        low, high = self._extremes(SPLITS).aminmax()
        chunks = (x for part in self.splits.values() for x in part.x.split(CHUNK))
        return all(bool(((x == low) | (x == high)).all()) for x in chunks)

    def prepare(self, x: Tensor) -> Tensor:
        """Scale and transform stored values: the x of the model."""
        return self._preparation.apply(x)

    def restore(self, x: Tensor) -> Tensor:
        """Undo ``scaling`` and ``transform``: prepared values → values in the units of the source."""
        return self._preparation.undo(x)

    def log_slope(self, x: Tensor) -> Tensor:
        """ln of the slope of ``transform`` and ``scaling`` at each prepared value.

        Added to log p(x) [nats], it gives the log-density of the values before them.
        """
        return self._preparation.log_slope(x)

    def describe_table(self) -> dict[str, Any] | None:
        """Plain values from which ``rows_of_table`` restores the rows of prepared examples; None for other data."""
        return None if self.table is None else described(self.table, self._preparation)

    def draw(self, x: Tensor) -> Tensor:
        """Prepared training examples for one step: new draws of 0 or 1 if binarised dynamically."""
        return torch.bernoulli(x) if self._binarise == "dynamic" else x

    def value_range(self) -> tuple[float, float]:
        """Smallest and largest prepared value of the training examples.

        Scores and figures are relative to this range, which does not depend on the test set.
        """
        return self._prepared_range(["train"])

    def full_range(self) -> tuple[float, float]:
        """Smallest and largest prepared value over all splits, which a likelihood must accept."""
        return self._prepared_range(SPLITS)

    def _prepared_range(self, splits: Sequence[str]) -> tuple[float, float]:
        prepared = self.prepare(self._extremes(splits))
        return prepared.min().item(), prepared.max().item()

    def prepared(self, split: str, limit: int | None = None) -> Examples:
        """The first ``limit`` prepared examples of a split, or all; of examples on disk, lazy rows."""
        examples = self._examples(split)
        x = examples.x[:limit]
        prepared = x.then(self.prepare) if isinstance(x, LazyRows) else self.prepare(x)
        return Examples(prepared, examples.y[:limit])

    def shuffled(self, split: str, generator: torch.Generator | None = None, limit: int | None = None) -> Examples:
        """``limit`` prepared examples of a split, or all, in random order.

        The stored order may be that of the classes.
        """
        examples = self._examples(split)
        chosen = examples[torch.randperm(len(examples), generator=generator)[:limit]]
        return Examples(self.prepare(chosen.x), chosen.y)

    def one_of_each_class(self, split: str, limit: int = 10) -> Examples:
        """The first prepared example of each class, at most ``limit`` in all."""
        examples = self._examples(split)
        labels = present_labels(examples.y)[:limit]
        first = examples[torch.tensor([int((examples.y == label).nonzero()[0]) for label in labels])]
        return Examples(self.prepare(first.x), first.y)

    def on_after_batch_transfer(self, batch: tuple[Tensor, Tensor], dataloader_idx: int) -> tuple[Tensor, Tensor]:
        x, y = batch
        return self.prepare(x), y

    def train_dataloader(self) -> ResumableLoader:
        """Whole batches: of several devices, each takes its rows of them (``base.shares``)."""
        dataset = InMemoryDataset(self.served)
        self._sampler = ResumableSampler(dataset, num_replicas=1, rank=0, shuffle=True, seed=self.order_seed)
        return ResumableLoader(dataset, self.batch_size, sampler=self._sampler, collate_fn=already_a_batch)

    def resume_within_epoch(self, batches_done: int) -> None:
        """Start the next epoch after its first ``batches_done`` batches."""
        self._sampler.skip = batches_done * self.batch_size

    def val_dataloader(self) -> DataLoader | list[DataLoader]:
        return self._in_stored_order(self.validating) if self.has_validation else []

    def test_dataloader(self) -> DataLoader:
        return self.evaluation_loader(self.test_split)

    def evaluation_loader(self, split: str) -> DataLoader:
        """Batches of a split in stored order, with all labels.

        Raises:
            ValueError: if the split is empty.
        """
        examples = self._examples(split)
        if not len(examples):
            raise ValueError(f"split={split} is empty: the run was trained with dataset.validation=0")
        return self._in_stored_order(examples)

    def _in_stored_order(self, examples: Examples) -> DataLoader:
        return DataLoader(InMemoryDataset(examples), self.eval_batch_size, collate_fn=already_a_batch)

    def _examples(self, split: str) -> Examples:
        return self.splits[checks.one_of("split", split, SPLITS)]

    def _extremes(self, splits: Sequence[str]) -> Tensor:
        """The least and greatest stored value at each place of an example, over some splits: [2, *x_shape]."""
        parts = torch.stack([extremes(self.splits[split].x, CHUNK) for split in splits if len(self.splits[split])])
        return torch.stack([parts[:, 0].amin(0), parts[:, 1].amax(0)])

    def _scaling_of(self, kind: str, training: Examples) -> Scaling | None:
        if kind != "none" and self._binarise != "none":
            raise ValueError(f"dataset.scaling={kind} and dataset.binarise={self._binarise} exclude each other")
        window, columns = (self.table.window, self.table.columns) if self.table else (1, None)
        # Nothing to scale: all values as floats might fill the memory.
        prepared = training.x if kind == "none" else self.prepare(training.x)
        return scaling_of(kind, prepared, window, columns)

    def _drawn_once(self, examples: Examples, split: str, seed: int) -> Examples:
        generator = generator_for(seed, f"binarise {split}")
        parts = [torch.bernoulli(self.prepare(x), generator=generator).bool() for x in examples.x.split(CHUNK)]
        return Examples(torch.cat(parts), examples.y)
