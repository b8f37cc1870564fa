"""Digests of the user's own data, by which a changed file is noticed. No torch."""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vae_hydra.data.image_folder import image_splits
from vae_hydra.data.located import located

# Seconds before a folder of images is looked at again.
LOOK_AGAIN = 10


def file_digest(file: Path) -> str:
    """SHA-256 of a file's content."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def images_digest(files: Iterable[Path], folder: Path) -> str:
    """SHA-256 of the names and sizes of files in a folder, the same wherever it lies."""
    described = hashlib.sha256()
    for file in files:
        described.update(f"{file.relative_to(folder)}\0{file.stat().st_size}\0".encode(errors="surrogateescape"))
    return described.hexdigest()


def present_digest(dataset: Mapping[str, Any]) -> str | None:
    """The digest of the table or folder of images at ``dataset.path`` now; None where there is none."""
    path, root = dataset.get("path"), dataset.get("root")
    if not isinstance(path, str) or not isinstance(root, str | None):
        return None
    place = located(path, root)
    if place.is_file():
        state = place.stat()
        return _known_file_digest(place, state.st_mtime_ns, state.st_size)
    return _known_images_digest(place, int(time.monotonic() // LOOK_AGAIN)) if place.is_dir() else None


# A sweep asks for each of its runs, more than once.
@functools.lru_cache(maxsize=16)
def _known_file_digest(file: Path, changed: int, size: int) -> str:
    return file_digest(file)


@functools.lru_cache(maxsize=16)
def _known_images_digest(folder: Path, period: int) -> str | None:
    try:
        parts = image_splits(folder)
    except ValueError:
        # An empty folder, such as a disk that is not mounted, is none of changed images.
        return None
    return images_digest([file for part in parts.values() for file in part.files], folder)
