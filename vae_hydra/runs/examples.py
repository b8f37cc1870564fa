"""The examples in a run's figures, read without running code or using much memory."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile, ZipFile

import numpy as np

# The file that drawing.callback.Figures writes.
EXAMPLES = "figures/examples.npz"
PARTS = ("original", "reconstruction", "noisy", "denoised")
# Ten colour images of 64 × 64 in four versions are 2 MB.
LARGEST = 64 * 2**20


def check_examples(folder: Path) -> None:
    """Raise ValueError for a file of examples that would take too much memory; the file may be absent.

    The sizes are read from the archive's directory and from the headers of the arrays.
    """
    path = folder / EXAMPLES
    if not path.is_file():
        return
    try:
        with ZipFile(path) as archive:
            size = max(sum(entry.file_size for entry in archive.infolist()), sum(_declared(archive)))
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{EXAMPLES} cannot be read ({error})") from error
    if size > LARGEST:
        raise ValueError(f"{EXAMPLES} is left out: it unpacks to {size:,} bytes; at most {LARGEST:,} are read")


def _declared(archive: ZipFile) -> Iterator[int]:
    """Bytes of each array of ``PARTS``, from its header."""
    for name in PARTS:
        if f"{name}.npy" in archive.NameToInfo:
            with archive.open(f"{name}.npy") as file:
                yield _bytes_of(file)


def _bytes_of(file: IO[bytes]) -> int:
    header = np.lib.format
    major, _ = header.read_magic(file)
    read = header.read_array_header_1_0 if major == 1 else header.read_array_header_2_0
    shape, _, dtype = read(file)
    return math.prod(shape) * dtype.itemsize


def load_examples(folder: Path) -> dict[str, Any] | None:
    """The arrays in a run's figures by name; None if the file is absent or holds anything else."""
    try:
        check_examples(folder)
        with np.load(folder / EXAMPLES, allow_pickle=False) as file:
            arrays = {name: file[name] for name in PARTS if name in file.files}
    except (OSError, ValueError, EOFError, KeyError, BadZipFile, zlib.error, NotImplementedError, RuntimeError):
        return None
    parts = [arrays.get(name) for name in PARTS]
    values = [value for value in parts if value is not None]
    are_whole = parts[0] is not None and parts[1] is not None and (parts[2] is None) == (parts[3] is None)
    # Of stacked noise one channel is kept, even for images with three.
    are_alike = len({(len(value), *value.shape[-2:]) for value in values if value.ndim == 4}) <= 1
    return arrays if are_whole and are_alike and all(map(_can_be_shown, values)) else None


def _can_be_shown(values: Any) -> bool:
    is_cloud = values.ndim == 2 and values.size > 0
    return values.dtype == np.float32 and (is_cloud or (values.ndim == 4 and values.shape[1] in (1, 3)))
