"""Datasets held in memory, split into train, validation and test, and served in a reproducible order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler

from vae_hydra import checks
from vae_hydra.sources import (
    Examples,
    Source,
    draw_inverse_gaussian_2d,
    draw_lognormal_2d,
    draw_student_t_mixture,
    load_digits,
    load_torchvision,
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

TRANSFORMS: dict[str, Callable[[Tensor], Tensor]] = {"none": lambda x: x, "exp": torch.exp}
SPLITS = ("train", "validation", "test")


class InMemoryDataset(Dataset):
    """Examples that are gathered a whole batch at a time."""

    def __init__(self, examples: Examples) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.examples.x[index], self.examples.y[index]

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        batch = self.examples[torch.as_tensor(indices)]
        return batch.x, batch.y


class ResumableSampler(DistributedSampler):
    """Shuffle as a function of (seed, epoch), able to start an epoch part of the way through.

    Set ``skip`` to the number of examples (of this process) that were already seen; it holds for the
    next epoch that is iterated.
    """

    skip = 0

    def __iter__(self) -> Iterator[int]:
        indices = list(super().__iter__())
        skip, self.skip = self.skip, 0
        return iter(indices[skip:])


class ResumableLoader(DataLoader):
    """A DataLoader over ``InMemoryDataset`` that tells Lightning it can resume within an epoch.

    Its state is a function of (seed, epoch, batch), all of which the trainer keeps, so it has none of
    its own: ``DataModule.resume_within_epoch`` sets the position.
    """

    sampler: ResumableSampler

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""


class DataModule(L.LightningDataModule):
    """Serve batches (x, y): stored values are gathered in memory, scaled and transformed on the device.

    Args:
        source: the examples.
        batch_size: examples a training batch, over all devices together if there are several.
        eval_batch_size: examples a validation or test batch.
        validation: share of the training examples set apart, in [0, 1); 0 trains on all.
        transform: ``none``, or ``exp`` for e^x after scaling.
        seed: of the split into training and validation examples.
        order_seed: of the order of the training batches.

    Attributes:
        test_split: the split that the trainer's test is run on.
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
    ) -> None:
        super().__init__()
        self.batch_size = checks.positive_integer("dataset.batch_size", batch_size)
        self.eval_batch_size = checks.positive_integer("dataset.eval_batch_size", eval_batch_size)
        checks.share("dataset.validation", validation)
        # DistributedSampler shuffles by seed + epoch: unmixed, seed 1 would repeat seed 0 an epoch earlier.
        mixed = np.random.SeedSequence(checks.non_negative_integer("seed", order_seed)).generate_state(1)
        self._order_seed = int(mixed[0])
        self._transform = TRANSFORMS[checks.one_of("dataset.transform", transform, TRANSFORMS)]
        self._scale = source.scale
        train, validation_part = _split(source.train, validation, seed)
        self.splits = {"train": train, "validation": validation_part, "test": source.test}
        self.x_shape = tuple(source.train.x.shape[1:])
        self.test_split = "test"

    @property
    def has_validation(self) -> bool:
        """Whether any examples were set apart for validation."""
        return len(self.splits["validation"]) > 0

    def prepare(self, x: Tensor) -> Tensor:
        """Stored values → what the model models."""
        return self._transform(x.float() * self._scale)

    def value_range(self) -> tuple[float, float]:
        """Smallest and largest value over all splits, as the model sees them."""
        parts = [part.x for part in self.splits.values() if len(part)]
        extremes = torch.stack([torch.stack([x.min(), x.max()]) for x in parts])
        low, high = self.prepare(torch.stack([extremes.min(), extremes.max()])).tolist()
        return low, high

    def one_of_each_class(self, split: str, limit: int = 10) -> Tensor:
        """The first example of each class, at most ``limit``, as the model sees them."""
        examples = self.splits[checks.one_of("split", split, SPLITS)]
        first = [int((examples.y == label).nonzero()[0]) for label in examples.y.unique()[:limit]]
        return self.prepare(examples.x[torch.tensor(first)])

    def on_after_batch_transfer(self, batch: tuple[Tensor, Tensor], dataloader_idx: int) -> tuple[Tensor, Tensor]:
        x, y = batch
        return self.prepare(x), y

    def train_dataloader(self) -> ResumableLoader:
        trainer = self.trainer
        replicas, rank = (trainer.world_size, trainer.global_rank) if trainer else (1, 0)
        dataset = InMemoryDataset(self.splits["train"])
        self._sampler = ResumableSampler(dataset, replicas, rank, shuffle=True, seed=self._order_seed)
        # Divided among the devices, so that a run means the same on any number of them.
        per_device = max(1, self.batch_size // replicas)
        return ResumableLoader(dataset, per_device, sampler=self._sampler, collate_fn=_already_a_batch)

    def resume_within_epoch(self, batches_done: int) -> None:
        """Start the coming epoch after its first ``batches_done`` batches."""
        self._sampler.skip = batches_done * max(1, self.batch_size // self._sampler.num_replicas)

    def val_dataloader(self) -> DataLoader | list[DataLoader]:
        return self.evaluation_loader("validation") if self.has_validation else []

    def test_dataloader(self) -> DataLoader:
        return self.evaluation_loader(self.test_split)

    def evaluation_loader(self, split: str) -> DataLoader:
        """The examples of a split in their stored order."""
        examples = self.splits[checks.one_of("split", split, SPLITS)]
        if not len(examples):
            raise ValueError(f"split={split} is empty: the run was trained with dataset.validation=0")
        return DataLoader(InMemoryDataset(examples), self.eval_batch_size, collate_fn=_already_a_batch)


def _split(examples: Examples, validation: float, seed: int) -> tuple[Examples, Examples]:
    """Training and validation examples; at least one stays for training."""
    count = int(len(examples) * validation)
    if not count:
        return examples, examples[torch.empty(0, dtype=torch.long)]
    generator = torch.Generator().manual_seed(checks.non_negative_integer("dataset.seed", seed))
    order = torch.randperm(len(examples), generator=generator)
    return examples[order[count:]], examples[order[:count]]


def _already_a_batch(batch: Any) -> Any:
    return batch
