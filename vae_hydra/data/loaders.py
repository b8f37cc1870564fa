"""Examples in memory, served in batches and in an order that a run which was cut off finds again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler

from vae_hydra.data.examples import Examples


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


def already_a_batch(batch: Any) -> Any:
    """What ``InMemoryDataset`` gathered, as it is: nothing is left to collate."""
    return batch
