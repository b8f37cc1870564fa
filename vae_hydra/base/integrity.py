"""Whether a file is whole, before its content is used: checksums of archives, headers and sizes of idx files."""

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
        Exception: whatever zipfile raises for what is no archive, or cut short.
    """
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
        # An entry marked as a folder has no content for torch, which then takes whatever is in memory for a tensor.
        folders = [entry.filename for entry in archive.infolist() if entry.external_attr & DOS_FOLDER]
    if damaged is not None:
        raise ValueError(f"{damaged} does not match its checksum")
    if folders:
        raise ValueError(f"{folders[0]} is marked as a folder")


def check_idx(path: Path, dimensions: int) -> tuple[int, ...]:
    """The sizes that an idx file of unsigned bytes gives for its ``dimensions``, if its content is as long as they say.

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
