"""MNIST and FashionMNIST from torchvision's files."""

from __future__ import annotations

from pathlib import Path

from torchvision import datasets

from vae_hydra.base import checks
from vae_hydra.base.integrity import check_idx
from vae_hydra.data.examples import Examples, Source


def load_torchvision(dataset: str, root: str, download: bool) -> Source:
    """MNIST or FashionMNIST from ``root``, after a download if ``download``.

    Raises:
        ValueError: if the files are damaged, or missing and cannot be downloaded; the message says how to get them.
    """
    family = getattr(datasets, checks.one_of("dataset.source.dataset", dataset, ("MNIST", "FashionMNIST")))
    folder = Path(root) / dataset / "raw"
    _check_idx_files(folder)
    missing = [path for path in (folder, folder.parent, folder.parent.parent) if not path.exists()]
    try:
        train, test = (family(root, train=is_train, download=download) for is_train in (True, False))
    except (RuntimeError, OSError) as error:
        for path in missing:
            # A failed download leaves empty folders.
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


def _check_idx_files(folder: Path) -> None:
    """Raise ValueError for damaged files, which torchvision misreads or reports without their name."""
    for part in ("train", "t10k"):
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
