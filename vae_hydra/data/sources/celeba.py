"""CelebA: photographs of faces with forty attributes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torchvision import datasets

from vae_hydra.base import checks
from vae_hydra.data.examples import Examples, Source
from vae_hydra.data.image_cache import converted, picture
from vae_hydra.data.located import MissingFiles

# Published work with VAEs cuts the square of this side from the centre of the 178×218 images.
CROP = 148
FOLDER, IMAGES = "celeba", "img_align_celeba"
ATTRIBUTES, PARTITION = "list_attr_celeba.txt", "list_eval_partition.txt"
# Split → its number in the list of the partition.
SPLITS = {"train": 0, "validation": 1, "test": 2}


def load_celeba(
    root: str,
    download: bool,
    size: int | Sequence[int] = 64,
    colour: bool = True,
    attribute: str | None = "Male",
    unreadable: str = "refuse",
    cache: str | None = "outputs/images",
    in_memory: bool | None = None,
) -> Source:
    """Aligned and cropped CelebA in its official split, labelled 0 or 1 by an attribute: images in [0, 1].

    The square of side 148 in the centre is resized to ``size``. The files are read as they are, whatever their
    checksums; only a download compares those.

    Args:
        root: folder that holds ``celeba/`` with img_align_celeba/, list_attr_celeba.txt and list_eval_partition.txt.
        download: whether to download them with torchvision if they are missing.
        size: side, or [height, width].
        colour: whether images have three channels, or one of grey.
        attribute: name of the attribute that makes the labels; None for class 0 throughout.
        unreadable, cache, in_memory: as for ``load_image_folder``.

    Raises:
        ValueError: if files are missing and cannot be downloaded, if they are damaged, or for an unknown attribute.

    Source: Liu, Luo, Wang and Tang, "Deep learning face attributes in the wild", 2015.
    """
    form = picture(size, colour, CROP)
    folder = _existing(Path(root).expanduser(), root, download)
    partition = _listed(folder / PARTITION, header=None, names=["part"])["part"]
    y = torch.zeros(len(partition), dtype=torch.long) if attribute is None else _labels(folder, partition, attribute)
    files = [folder / IMAGES / str(name) for name in partition.index]
    missing = next((file for file in files if not file.is_file()), None)
    if missing is not None:
        raise ValueError(f"{folder / PARTITION} lists {missing.name}, but there is no file {missing}")
    images = converted(files, form, "celeba", cache, in_memory, unreadable)
    everything = Examples(images.x, y)
    parts = torch.tensor(partition.to_numpy())
    found = {}
    for split, number in SPLITS.items():
        found[split] = everything[((parts == number) & images.readable).nonzero()[:, 0]]
        if not len(found[split]):
            raise ValueError(
                f"{folder / PARTITION} lists no readable images for {split}, which has the number {number}"
            )
    return Source(found["train"], found["test"], 1 / 255, validation=found["validation"])


def _existing(root: Path, given: str, download: bool) -> Path:
    folder = root / FOLDER
    needed = (IMAGES, ATTRIBUTES, PARTITION)
    missing = [name for name in needed if not (folder / name).exists()]
    reason: Exception | None = None
    if missing and download:
        try:
            datasets.CelebA(str(root), split="all", download=True)
        # torchvision needs the package gdown for it, and Google Drive refuses many downloads.
        except (RuntimeError, OSError, ImportError) as error:
            reason = error
        missing = [name for name in needed if not (folder / name).exists()]
    if missing or reason is not None:
        problem = f"could not be downloaded ({reason})" if download else f"was not found under dataset.root={given}"
        remedy = "" if download else "With a network and the package gdown, add dataset.download=true. "
        raise MissingFiles(
            f"CelebA {problem}",
            FOLDER,
            f". {remedy}Without a network, put {', '.join(needed)} into {folder}, or say where they are: "
            "dataset.root=FOLDER (or the environment variable VAE_HYDRA_DATA)",
        ) from reason
    return folder


def _listed(path: Path, **layout: Any) -> pd.DataFrame:
    """A list of CelebA: whole numbers by file name."""
    try:
        return pd.read_csv(path, sep=r"\s+", **layout).astype(int)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} cannot be read as a list of CelebA: {error}") from error


def _labels(folder: Path, partition: pd.Series, attribute: str) -> torch.Tensor:
    table = _listed(folder / ATTRIBUTES, skiprows=1)
    values = table[checks.one_of("dataset.attribute", attribute, table.columns)].reindex(partition.index)
    if not values.isin([-1, 1]).all():
        raise ValueError(f"{folder / ATTRIBUTES} must list 1 or -1 for each image of {folder / PARTITION}")
    return torch.tensor((values == 1).to_numpy(), dtype=torch.long)
