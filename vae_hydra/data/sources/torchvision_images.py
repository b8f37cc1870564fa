"""Images from torchvision's files: the MNIST family, SVHN and CIFAR-10."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torchvision import datasets

from vae_hydra.base import checks
from vae_hydra.base.integrity import check_idx
from vae_hydra.data.examples import Examples, Source
from vae_hydra.data.located import MissingFiles

EMNIST_SPLITS = datasets.EMNIST.splits


class Family(NamedTuple):
    """How torchvision serves a dataset.

    Attributes:
        open: (root, is_train, download, variant) → its dataset.
        examples: its dataset → examples.
        folder: where its files lie under the root.
        prefixes: variant → names of its idx files up to ``-images-idx3-ubyte``; None for other files.
    """

    open: Callable[[str, bool, bool, str], Any]
    examples: Callable[[Any], Examples]
    folder: str
    prefixes: Callable[[str], tuple[str, str]] | None = None


def _idx(name: str) -> Family:
    """MNIST and the datasets in its format."""
    return Family(
        lambda root, is_train, download, _: getattr(datasets, name)(root, train=is_train, download=download),
        lambda part: Examples(part.data.unsqueeze(1), part.targets),
        f"{name}/raw",
        lambda _: ("train", "t10k"),
    )


def _emnist(part: Any) -> Examples:
    # Its images are stored on their sides; the classes of its letters count from 1.
    return Examples(part.data.transpose(1, 2).unsqueeze(1).contiguous(), part.targets - int(part.split == "letters"))


FAMILIES: dict[str, Family] = {
    **{name: _idx(name) for name in ("MNIST", "FashionMNIST", "KMNIST")},
    "EMNIST": Family(
        lambda root, is_train, download, split: datasets.EMNIST(root, split, train=is_train, download=download),
        _emnist,
        "EMNIST/raw",
        lambda split: (f"emnist-{split}-train", f"emnist-{split}-test"),
    ),
    "SVHN": Family(
        lambda root, is_train, download, _: datasets.SVHN(root, "train" if is_train else "test", download=download),
        lambda part: Examples(torch.from_numpy(part.data), torch.from_numpy(part.labels).long()),
        "",
    ),
    "CIFAR10": Family(
        lambda root, is_train, download, _: datasets.CIFAR10(root, train=is_train, download=download),
        lambda part: Examples(torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets)),
        "cifar-10-batches-py",
    ),
}


def load_torchvision(dataset: str, root: str, download: bool, variant: str = "balanced") -> Source:
    """A dataset of ``FAMILIES`` from ``root``, after a download if ``download``: images in [0, 1].

    Args:
        dataset: its name in torchvision.
        root: folder of the files.
        download: whether to download them if they are missing.
        variant: one of ``EMNIST_SPLITS``, for EMNIST.

    Raises:
        ValueError: if the files are damaged, or missing and cannot be downloaded; the message says how to get them.
    """
    family = FAMILIES[checks.one_of("dataset.source.dataset", dataset, FAMILIES)]
    checks.one_of("dataset.variant", variant, EMNIST_SPLITS)
    folder = Path(root) / family.folder
    if family.prefixes:
        _check_idx_files(folder, family.prefixes(variant))
    missing = [path for path in (folder, *folder.parents) if not path.exists() and path.is_relative_to(root)]
    try:
        train, test = (family.open(root, is_train, download, variant) for is_train in (True, False))
    except (RuntimeError, OSError) as error:
        for path in missing:
            # A failed download leaves empty folders.
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        problem = "could not be downloaded" if download else f"was not found under dataset.root={root}"
        remedy = "" if download else "With a network, add dataset.download=true. "
        files = "four idx files" if family.prefixes else "files"
        raise MissingFiles(
            f"{dataset} {problem}",
            family.folder,
            f". {remedy}Without a network, put its {files} into {folder}, "
            "or say where they are: dataset.root=FOLDER (or the environment variable VAE_HYDRA_DATA)",
        ) from error
    return Source(family.examples(train), family.examples(test), scale=1 / 255)


def _check_idx_files(folder: Path, prefixes: tuple[str, str]) -> None:
    """Raise ValueError for damaged files, which torchvision misreads or reports without their name."""
    for part in prefixes:
        images, labels = (folder / f"{part}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1"))
        sizes = {path: _idx_sizes(path, n) for path, n in ((images, 3), (labels, 1)) if path.is_file()}
        if len(sizes) == 2 and sizes[images][0] != sizes[labels][0]:
            raise ValueError(_damaged(labels, f"it has {sizes[labels][0]:,} labels for {sizes[images][0]:,} images"))


def _idx_sizes(path: Path, dimensions: int) -> tuple[int, ...]:
    try:
        sizes = check_idx(path, dimensions)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(_damaged(path, str(error))) from error
    if not sizes[0]:
        raise ValueError(_damaged(path, "it holds no examples"))
    return sizes


def _damaged(path: Path, defect: str) -> str:
    return (
        f"{path} is damaged: {defect}. Get another copy of it; with a network, delete it and add dataset.download=true"
    )
