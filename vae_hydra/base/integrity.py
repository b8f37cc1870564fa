"""Checks that a file is whole: checksums of archives, headers and sizes of idx files."""

from __future__ import annotations

import math
import struct
import zipfile
from pathlib import Path

GZIP_MAGIC = b"\x1f\x8b"
# The type of idx files' values that are unsigned bytes.
UNSIGNED_BYTES = 8
# The attribute of a zip entry that is a folder.
DOS_FOLDER = 0x10


def check_archive(path: Path) -> None:
    """Compare every entry of a zip archive with its CRC-32, which ``torch.load`` does not.

    Raises:
        ValueError: naming the first entry that is damaged.
        Exception: from zipfile, if the file is no archive or is cut short.
    """
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
        # torch reads an entry marked as a folder as empty, and makes a tensor of uninitialised memory.
        folders = [entry.filename for entry in archive.infolist() if entry.external_attr & DOS_FOLDER]
    if damaged is not None:
        raise ValueError(f"{damaged} does not match its checksum")
    if folders:
        raise ValueError(f"{folders[0]} is marked as a folder")


def check_idx(path: Path, dimensions: int) -> tuple[int, ...]:
    """The sizes of the ``dimensions`` of an idx file of unsigned bytes, checked against the length of the file.

    Format: two zero bytes, the type of values, the number of dimensions; a big-endian uint32 for each; the values.

    Raises:
        ValueError: naming the defect.
        OSError: if the file cannot be read.
    """
    with path.open("rb") as file:
        header = file.read(4 + 4 * dimensions)
    expected = bytes((0, 0, UNSIGNED_BYTES, dimensions))
    if header.startswith(GZIP_MAGIC):
        raise ValueError(f"it is compressed with gzip; rename it to {path.name}.gz and unpack it with gunzip")
    if not header:
        raise ValueError("it is empty")
    if header[:4] != expected:
        raise ValueError(f"it begins with the bytes {header[:4].hex()} instead of {expected.hex()}, so is no such file")
    if len(header) < 4 + 4 * dimensions:
        raise ValueError("it is cut short within its header")
    sizes = struct.unpack(f">{dimensions}I", header[4:])
    stated, actual = math.prod(sizes), path.stat().st_size - len(header)
    if stated != actual:
        raise ValueError(f"it should hold {stated:,} values ({' × '.join(map(str, sizes))}), but holds {actual:,}")
    return sizes
