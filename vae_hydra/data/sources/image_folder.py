"""Images from the user's folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from vae_hydra.data.examples import Examples, Source
from vae_hydra.data.image_cache import converted, picture
from vae_hydra.data.image_folder import image_splits
from vae_hydra.data.located import MissingFiles, located
from vae_hydra.data.own_files import images_digest
from vae_hydra.data.splits import random_test, test_count

log = logging.getLogger(__name__)


def load_image_folder(
    path: str | None,
    root: str | None = None,
    size: int | Sequence[int] = 64,
    colour: bool = True,
    test: float = 0.2,
    unreadable: str = "refuse",
    cache: str | None = "outputs/images",
    in_memory: bool | None = None,
    seed: int = 0,
) -> Source:
    """Images below a folder, cut at the centre and resized to one size, in [0, 1].

    Folders called train, test and val hold these splits; without test, a share is drawn. A folder for each class makes
    the labels, as for torchvision's ImageFolder; without folders, all images are of class 0.

    Args:
        path: the folder.
        root: folder that a relative path starts from, and that holds the folder of an absolute path; None for the
            current folder.
        size: side, or [height, width]; the largest part of these proportions is cut from the centre.
        colour: whether images have three channels, or one of grey.
        test: share of the images for testing, unless there is a folder for them.
        unreadable: ``refuse`` files that cannot be read, or ``skip`` them.
        cache: folder for converted images.
        in_memory: whether to hold all images in memory; None: if they take at most a quarter of the free memory.
        seed: seed of a random split.

    Raises:
        ValueError: for a folder that is missing or has no images, files that cannot be read, or bad options.
    """
    folder = _existing(path, root)
    parts = image_splits(folder)
    files = [file for part in parts.values() for file in part.files]
    form = picture(size, colour)
    images = converted(files, form, "folder", cache, in_memory, unreadable)
    counts = {split: len(part.files) for split, part in parts.items()}
    listed = ", ".join(f"{count:,} for {split}" for split, count in counts.items())
    log.info("images   %s: %s, as %s", folder, listed, "×".join(map(str, form.shape)))
    y = torch.tensor([label for part in parts.values() for label in part.y])
    rows = dict(zip(counts, torch.arange(len(files)).split(list(counts.values())), strict=True))
    rows = {split: positions[images.readable[positions]] for split, positions in rows.items()}
    if "test" not in rows:
        places = random_test(len(rows["train"]), test_count(len(rows["train"]), test), seed)
        rows["train"], rows["test"] = (rows["train"][place] for place in places)
    for split, positions in rows.items():
        if not len(positions):
            raise ValueError(f"the images in {folder} leave nothing for {split}; use another value of dataset.test")
    everything = Examples(images.x, y)
    found = {split: everything[positions] for split, positions in rows.items()}
    digest = images_digest(files, folder)
    return Source(found["train"], found["test"], 1 / 255, validation=found.get("validation"), digest=digest)


def _existing(path: Any, root: str | None) -> Path:
    if not isinstance(path, str) or not path:
        raise ValueError(f"dataset=image_folder needs a folder of images: dataset.path=FOLDER, but got {path!r}")
    folder = located(path, root)
    if not folder.is_dir():
        raise MissingFiles(f"dataset.path={path}: there is no folder {folder.absolute()}", folder.name)
    return folder
