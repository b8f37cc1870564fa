"""Datasets held in memory, split into train, validation and test, and served in a reproducible order."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from vae_hydra.base import checks
from vae_hydra.data.examples import Examples, Source
from vae_hydra.data.loaders import InMemoryDataset, ResumableLoader, ResumableSampler, already_a_batch
from vae_hydra.data.sources.digits import load_digits
from vae_hydra.data.sources.inverse_gaussian_2d import draw_inverse_gaussian_2d
from vae_hydra.data.sources.lognormal_2d import draw_lognormal_2d
from vae_hydra.data.sources.student_t_mixture import draw_student_t_mixture
from vae_hydra.data.sources.torchvision_images import load_torchvision
from vae_hydra.data.splits import (
    CHUNK,
    fold_out,
    generator_for,
    hide_labels,
    labelled_share,
    mixed,
    resize_images,
    set_apart,
    thin,
)

# Configurations, those of old checkpoints too, name the dataset functions here.
__all__ = [
    "DataModule",
    "Examples",
    "InMemoryDataset",
    "ResumableLoader",
    "ResumableSampler",
    "Source",
    "draw_inverse_gaussian_2d",
    "draw_lognormal_2d",
    "draw_student_t_mixture",
    "load_digits",
    "load_torchvision",
]

# Increasing functions: the least and greatest value stay the least and greatest.
TRANSFORMS: dict[str, Callable[[Tensor], Tensor]] = {"none": lambda x: x, "exp": torch.exp, "log1p": torch.log1p}
INVERSES: dict[str, Callable[[Tensor], Tensor]] = {"none": lambda y: y, "exp": torch.log, "log1p": torch.expm1}
# ln of the slope of each transform, as a function of its result.
LOG_SLOPES: dict[str, Callable[[Tensor], Tensor]] = {"none": torch.zeros_like, "exp": torch.log, "log1p": torch.neg}
NEEDS = {"exp": "values < 88", "log1p": "values > −1"}
BINARISATIONS = ("none", "static", "dynamic")
SPLITS = ("train", "validation", "test")


class DataModule(L.LightningDataModule):
    """Serve batches (x, y): stored values are gathered in memory, scaled and transformed on the device.

    Args:
        source: the examples.
        batch_size: examples a training batch, over all devices together if there are several.
        eval_batch_size: examples a validation or test batch.
        validation: share of the training examples set apart, in [0, 1); 0 trains on all.
        transform: after scaling, ``none``, ``exp`` for e^x, or ``log1p`` for ln(1 + x), which needs x > −1.
        seed: of everything that is drawn here but the order.
        order_seed: of the order of the training batches.
        fraction: share of the training examples kept, in (0, 1]; those of a smaller share are among those
            of a larger one. The test set stays whole.
        folds: parts of as equal a size as can be that cross-validation divides the training examples into.
        fold: the part that is the test set, from 0; the others are for training and validation, and the
            source's own test set is not touched. None for no cross-validation.
        resize: side, or [height, width], that images are resized to (bilinear, antialiased); None leaves them.
        binarise: ``static`` makes each pixel 0 or 1, with its value the probability of 1, once and for all;
            ``dynamic`` does so anew each time that a training example is seen, and scores the same draws as
            ``static``; ``none`` leaves them grey.
        labelled: share of the training examples of every class that keep their label while the model is trained,
            in (0, 1], at least one, and the same share of the validation examples, which choose its weights; the
            others are served with −1. The splits below keep all labels: tests and evaluations see them.

    Attributes:
        splits: name → examples as stored; where they are binarised, drawn once, also those for training.
        x_shape: of an example.
        classes: number of classes of the source; labels are 0..classes−1.
        test_split: the split that the trainer's test is run on.
        train_labelled, validation_labelled: share of the examples that are served with a label.

    Raises:
        ValueError: for options that are out of range, or do not fit these examples.
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
    ) -> None:
        super().__init__()
        self.batch_size = checks.positive_integer("dataset.batch_size", batch_size)
        self.eval_batch_size = checks.positive_integer("dataset.eval_batch_size", eval_batch_size)
        checks.share("dataset.validation", validation)
        checks.non_negative_integer("dataset.seed", seed)
        # DistributedSampler shuffles by seed + epoch: unmixed, seed 1 would repeat seed 0 an epoch earlier.
        self.order_seed = mixed(checks.non_negative_integer("seed", order_seed))
        self._transform_name = checks.one_of("dataset.transform", transform, TRANSFORMS)
        self._binarise = checks.one_of("dataset.binarise", binarise, BINARISATIONS)
        self._scale = source.scale
        self.classes = 1 + int(torch.cat([source.train.y, source.test.y]).max())
        self.test_split = "test"

        train, test = thin(source.train, fraction, seed), source.test
        checks.integer("dataset.folds", folds, minimum=2)
        if fold is not None:
            train, test = fold_out(train, folds, fold, seed)
        if resize is not None:
            train, test = resize_images(train, resize), resize_images(test, resize)
        train, validation_part = set_apart(train, validation, seed)
        self.splits = {"train": train, "validation": validation_part, "test": test}
        self.x_shape = tuple(train.x.shape[1:])
        self._check_values()
        if binarise != "none":
            self.splits = {name: self._drawn_once(part, name, seed) for name, part in self.splits.items()}
        # Drawn anew each time they are served, they stay grey in memory.
        served = train if binarise == "dynamic" else self.splits["train"]
        self.served = hide_labels(served, labelled, generator_for(seed, "labelled"))
        # What chooses the weights may know no more labels than what trains them.
        judging = generator_for(seed, "labelled validation")
        self.validating = hide_labels(self.splits["validation"], labelled, judging)
        self.train_labelled = labelled_share(self.served)
        self.validation_labelled = labelled_share(self.validating)

    def with_order(self, seed: int) -> DataModule:
        """The same examples, served in the order of another seed."""
        other = copy.copy(self)
        other.order_seed = mixed(checks.non_negative_integer("seed", seed))
        return other

    @property
    def has_validation(self) -> bool:
        """Whether any examples were set apart for validation."""
        return len(self.splits["validation"]) > 0

    @property
    def is_binary(self) -> bool:
        """Whether every value the model sees is 0 or 1."""
        low, high = self._extremes(SPLITS)
        parts = (part.x for part in self.splits.values())
        return set(self.full_range()) <= {0, 1} and all(bool(((x == low) | (x == high)).all()) for x in parts)

    def prepare(self, x: Tensor) -> Tensor:
        """Stored values → what the model models."""
        # What was binarised is stored as bool and is what it is; scaled, it might come out as 0.9999999.
        return x.float() if x.dtype == torch.bool else TRANSFORMS[self._transform_name](x.float() * self._scale)

    def restore(self, x: Tensor) -> Tensor:
        """What the model models → values before ``transform``."""
        return INVERSES[self._transform_name](x)

    def log_slope(self, x: Tensor) -> Tensor:
        """ln of the slope of ``transform`` at each value, given as the model sees it: what to add to log p(x) [nats]
        for the density of the values before it."""
        return LOG_SLOPES[self._transform_name](x)

    def draw(self, x: Tensor) -> Tensor:
        """Prepared training examples as they are seen this time: 0 or 1 if they are binarised dynamically."""
        return torch.bernoulli(x) if self._binarise == "dynamic" else x

    def value_range(self) -> tuple[float, float]:
        """Smallest and largest value of the training examples, as the model sees them.

        What scores and figures are made relative to: it knows nothing of the test set.
        """
        low, high = self.prepare(self._extremes(["train"])).tolist()
        return low, high

    def full_range(self) -> tuple[float, float]:
        """Smallest and largest value over all splits, as the model sees them: a likelihood must take them all."""
        low, high = self.prepare(self._extremes(SPLITS)).tolist()
        return low, high

    def prepared(self, split: str, limit: int | None = None) -> Examples:
        """The first ``limit`` examples of a split, or all, as the model sees them."""
        examples = self._examples(split)
        return Examples(self.prepare(examples.x[:limit]), examples.y[:limit])

    def shuffled(self, split: str, generator: torch.Generator | None = None, limit: int | None = None) -> Examples:
        """``limit`` examples of a split, or all, in random order, as the model sees them.

        Stored ones may be in the order of their classes.
        """
        examples = self._examples(split)
        chosen = examples[torch.randperm(len(examples), generator=generator)[:limit]]
        return Examples(self.prepare(chosen.x), chosen.y)

    def one_of_each_class(self, split: str, limit: int = 10) -> Examples:
        """The first example of each class, at most ``limit``, as the model sees them."""
        examples = self._examples(split)
        labels = examples.y.unique()[:limit]
        first = examples[torch.tensor([int((examples.y == label).nonzero()[0]) for label in labels])]
        return Examples(self.prepare(first.x), first.y)

    def on_after_batch_transfer(self, batch: tuple[Tensor, Tensor], dataloader_idx: int) -> tuple[Tensor, Tensor]:
        x, y = batch
        return self.prepare(x), y

    def train_dataloader(self) -> ResumableLoader:
        trainer = self.trainer
        replicas, rank = (trainer.world_size, trainer.global_rank) if trainer else (1, 0)
        dataset = InMemoryDataset(self.served)
        self._sampler = ResumableSampler(dataset, replicas, rank, shuffle=True, seed=self.order_seed)
        # Divided among the devices, so that a run means the same on any number of them.
        per_device = max(1, self.batch_size // replicas)
        return ResumableLoader(dataset, per_device, sampler=self._sampler, collate_fn=already_a_batch)

    def resume_within_epoch(self, batches_done: int) -> None:
        """Start the coming epoch after its first ``batches_done`` batches."""
        self._sampler.skip = batches_done * max(1, self.batch_size // self._sampler.num_replicas)

    def val_dataloader(self) -> DataLoader | list[DataLoader]:
        return self._in_stored_order(self.validating) if self.has_validation else []

    def test_dataloader(self) -> DataLoader:
        return self.evaluation_loader(self.test_split)

    def evaluation_loader(self, split: str) -> DataLoader:
        """The examples of a split, with all their labels, in their stored order."""
        examples = self._examples(split)
        if not len(examples):
            raise ValueError(f"split={split} is empty: the run was trained with dataset.validation=0")
        return self._in_stored_order(examples)

    def _in_stored_order(self, examples: Examples) -> DataLoader:
        return DataLoader(InMemoryDataset(examples), self.eval_batch_size, collate_fn=already_a_batch)

    def _examples(self, split: str) -> Examples:
        return self.splits[checks.one_of("split", split, SPLITS)]

    def _extremes(self, splits: Sequence[str]) -> Tensor:
        """The least and the greatest stored value over some splits."""
        parts = [self.splits[split].x for split in splits if len(self.splits[split])]
        extremes = torch.stack([torch.stack([x.min(), x.max()]) for x in parts])
        return torch.stack([extremes.min(), extremes.max()])

    def _check_values(self) -> None:
        """Refuse a transform and a binarisation that the values do not allow."""
        transform = self._transform_name
        extremes = self._extremes(SPLITS)
        (raw_low, raw_high), (low, high) = (extremes.float() * self._scale).tolist(), self.prepare(extremes).tolist()
        if transform != "none" and not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError(
                f"dataset.transform={transform} needs {NEEDS[transform]}, but this dataset spans "
                f"[{raw_low:.3g}, {raw_high:.3g}]; use dataset.transform=none"
            )
        if self._binarise == "none":
            return
        if transform != "none":
            raise ValueError(f"dataset.binarise={self._binarise} needs dataset.transform=none, but got {transform!r}")
        if low < 0 or high > 1:
            raise ValueError(
                f"dataset.binarise={self._binarise} needs values in [0, 1], but this dataset spans "
                f"[{low:.3g}, {high:.3g}]; use dataset.binarise=none"
            )

    def _drawn_once(self, examples: Examples, split: str, seed: int) -> Examples:
        generator = generator_for(seed, f"binarise {split}")
        parts = [torch.bernoulli(self.prepare(x), generator=generator).bool() for x in examples.x.split(CHUNK)]
        return Examples(torch.cat(parts), examples.y)
