"""Datasets held in memory, split into train, validation and test, and served in a reproducible order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler

from vae_hydra import checks

TRANSFORMS: dict[str, Callable[[Tensor], Tensor]] = {"none": lambda x: x, "exp": torch.exp}
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Examples:
    """Examples x [N, *x_shape], uint8 or float32, and their class labels y [N]."""

    x: Tensor
    y: Tensor

    def __getitem__(self, index: Tensor) -> Examples:
        return Examples(self.x[index], self.y[index])

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Source:
    """What a dataset function returns.

    Attributes:
        train, test: examples as stored.
        scale: factor that takes stored values to the model's range, e.g. 1/255.
    """

    train: Examples
    test: Examples
    scale: float = 1.0


def load_digits(seed: int) -> Source:
    """The 1,797 8×8 digits inside scikit-learn, a fifth of each class drawn for the test set by ``seed``."""
    from sklearn.datasets import load_digits as load
    from sklearn.model_selection import train_test_split

    images, labels = load(return_X_y=True)
    x = torch.from_numpy(images.astype(np.uint8)).reshape(-1, 1, 8, 8)
    y = torch.from_numpy(labels.astype(np.int64))
    train, test = train_test_split(np.arange(len(y)), test_size=0.2, stratify=labels, random_state=seed)
    every = Examples(x, y)
    return Source(every[torch.from_numpy(train)], every[torch.from_numpy(test)], scale=1 / 16)


def load_torchvision(dataset: str, root: str, download: bool) -> Source:
    """MNIST or FashionMNIST from ``root``, downloaded there first if asked.

    Raises:
        ValueError: if the files are not there and cannot be downloaded; it says how to get them.
    """
    from torchvision import datasets

    family = getattr(datasets, checks.one_of("dataset.source.dataset", dataset, ("MNIST", "FashionMNIST")))
    folder = Path(root) / dataset / "raw"
    ours = [path for path in (folder, folder.parent, folder.parent.parent) if not path.exists()]
    try:
        train, test = (family(root, train=is_train, download=download) for is_train in (True, False))
    except (RuntimeError, OSError) as error:
        for path in ours:
            # Empty folders that a download which failed has made.
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        problem = "could not be downloaded" if download else f"was not found under dataset.root={root}"
        remedy = "" if download else "With a network, add dataset.download=true. "
        raise ValueError(
            f"{dataset} {problem}. {remedy}Without a network, put its four idx files into {folder}, "
            "or say where they are: dataset.root=FOLDER (or the environment variable VAE_HYDRA_DATA)"
        ) from error
    parts = [Examples(part.data.unsqueeze(1), part.targets) for part in (train, test)]
    return Source(parts[0], parts[1], scale=1 / 255)


LOGNORMAL_2D_VARIANTS = ("raw", "rescaled", "overlapping")


def draw_lognormal_2d(variant: str, seed: int) -> Source:
    """Two classes of lognormal points in the plane, 20,000 for training and 5,000 for the test each.

    x = exp(N(m, 0.4²)) per axis, with m = (0, 2) and (2, 0); ``overlapping``: (0, 1) and (1, 0);
    ``rescaled``: each axis of ``raw`` mapped to [0, 1] by its minimum and maximum over all points.

    Source: HeavyTailed-VAE, project report, 2024.
    """
    checks.one_of("dataset.variant", variant, LOGNORMAL_2D_VARIANTS)
    generator = torch.Generator().manual_seed(checks.non_negative_integer("dataset.seed", seed))
    far = 1.0 if variant == "overlapping" else 2.0
    centres = torch.tensor([[0.0, far], [far, 0.0]])

    def draw(per_class: int) -> Examples:
        noise = torch.randn(2, per_class, 2, generator=generator)
        x = (centres[:, None] + 0.4 * noise).exp().reshape(-1, 2)
        return Examples(x, torch.arange(2).repeat_interleave(per_class))

    train, test = draw(20_000), draw(5_000)
    if variant == "rescaled":
        every = torch.cat([train.x, test.x])
        low, span = every.amin(0), every.amax(0) - every.amin(0)
        train, test = (Examples((part.x - low) / span, part.y) for part in (train, test))
    return Source(train, test)


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
