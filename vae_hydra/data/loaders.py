"""Batches of examples, in an order that an interrupted run can resume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler

from vae_hydra.data.examples import Examples
from vae_hydra.data.lazy import read


class InMemoryDataset(Dataset):
    """A Dataset that gathers a whole batch of examples at a time."""

    def __init__(self, examples: Examples) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.examples.x[index], self.examples.y[index]

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        batch = self.examples[torch.as_tensor(indices)]
        return read(batch.x), batch.y


class ResumableSampler(DistributedSampler):
    """Shuffle as a function of (seed, epoch); can start within an epoch.

    Attributes:
        skip: number of examples to leave out of the next epoch, because training has seen them.
    """

    skip = 0

    def __iter__(self) -> Iterator[int]:
        indices = list(super().__iter__())
        skip, self.skip = self.skip, 0
        return iter(indices[skip:])


class ResumableLoader(DataLoader):
    """A DataLoader over ``InMemoryDataset`` that Lightning accepts as resumable within an epoch.

    Its position is a function of (seed, epoch, batch), which the trainer stores, so its own state is empty.
    ``DataModule.resume_within_epoch`` sets the position.
    """

    sampler: ResumableSampler

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""


def already_a_batch(batch: Any) -> Any:
    """Return the batch of ``InMemoryDataset`` unchanged: the collate function of its loaders."""
    return batch
