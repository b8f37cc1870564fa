"""Image files → one array of bytes on disk, converted once and mapped into memory."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import psutil
import torch
from filelock import FileLock
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

from vae_hydra.base import checks
from vae_hydra.base.files import check_writable, replacing_folder, write_json
from vae_hydra.data.lazy import LazyRows, MappedArray

log = logging.getLogger(__name__)

UNREADABLE = ("refuse", "skip")
ARRAY, RECORD = "images.npy", "record.json"
# Counted up when the same files and options give other bytes.
VERSION = 1
# Images that are converted and written at a time.
CHUNK = 512
# Share of the free memory that images may take before they stay on disk.
MEMORY_SHARE = 0.25


class Picture(NamedTuple):
    """The form of every converted image.

    Attributes:
        height, width: its sides.
        colour: whether it has three channels, or one.
        crop: side of a square that is cut from the centre first; None for the largest part of the right proportions.
    """

    height: int
    width: int
    colour: bool
    crop: int | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """[C, H, W]."""
        return (3 if self.colour else 1, self.height, self.width)


class Images(NamedTuple):
    """Converted images x [N, C, H, W], and whether each of the N files could be read, [N]."""

    x: Tensor
    readable: Tensor


def picture(size: int | Sequence[int], colour: bool, crop: int | None = None) -> Picture:
    """The form that the options ``size`` (a side, or [height, width]) and ``colour`` ask for."""
    sides = [size, size] if isinstance(size, int) else size
    if not isinstance(sides, (list, tuple)) or len(sides) != 2:
        raise ValueError(f"dataset.size must be a side or [height, width], but got {size!r}")
    height, width = checks.positive_integers("dataset.size", sides)
    return Picture(height, width, checks.boolean("dataset.colour", colour), crop)


def converted(
    files: Sequence[Path], form: Picture, name: str, cache: str | None, in_memory: bool | None, unreadable: str
) -> Images:
    """Image files in one form, from the cache if they are there, else converted and kept there.

    The key of the cache is a digest of the files' paths, sizes and times and of the form. An interrupted conversion
    leaves nothing; a second process waits for the first.

    Args:
        files: their order is that of the rows.
        form: of all images.
        name: begins the name of their folder in the cache.
        cache: folder for converted images.
        in_memory: whether to hold the images in memory rather than to read each batch from disk; None: if they take at
            most a quarter of the free memory.
        unreadable: ``refuse`` files that cannot be read, or ``skip`` them.

    Raises:
        ValueError: for a file that is no image, or a cache that cannot be written.
    """
    checks.one_of("dataset.unreadable", unreadable, UNREADABLE)
    if in_memory is not None:
        checks.boolean("dataset.in_memory", in_memory)
    folder = _cache_folder(cache) / f"{name}-{_key(files, form)}"
    if not (folder / RECORD).is_file():
        _convert_once(files, form, folder, unreadable)
    bad = json.loads((folder / RECORD).read_text(encoding="utf-8"))["unreadable"]
    for number, reason in bad.items():
        _check_allowed(files[int(number)], reason, unreadable)
    if bad:
        left_out = [str(files[int(number)]) for number in bad]
        log.warning("images   %d files cannot be read and are left out: %s", len(bad), ", ".join(left_out[:5]))
    readable = torch.tensor([str(number) not in bad for number in range(len(files))])
    return Images(_loaded(folder / ARRAY, in_memory), readable)


def _cache_folder(cache: str | None) -> Path:
    if not isinstance(cache, str) or not cache:
        raise ValueError(f"dataset.cache must be a folder for converted images, but got {cache!r}")
    folder = Path(cache).expanduser()
    try:
        check_writable(folder)
    except OSError as error:
        if not folder.is_dir():
            raise ValueError(
                f"dataset.cache={cache} cannot be written ({error.strerror}); name another folder with dataset.cache, "
                "or with the environment variable VAE_HYDRA_CACHE"
            ) from error
    return folder


def _key(files: Sequence[Path], form: Picture) -> str:
    described = hashlib.sha256(json.dumps([VERSION, *form]).encode())
    for file in files:
        status = file.stat()
        described.update(
            f"{file.absolute()}\0{status.st_size}\0{status.st_mtime_ns}\0".encode(errors="surrogateescape")
        )
    return described.hexdigest()[:16]


def _convert_once(files: Sequence[Path], form: Picture, folder: Path, unreadable: str) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        if (folder / RECORD).is_file():
            return
        log.info("images   converting %s files, once: %s", f"{len(files):,}", folder)
        with replacing_folder(folder) as new:
            bad = _write_array(new / ARRAY, files, form, unreadable)
            write_json(new / RECORD, {"files": len(files), "form": form._asdict(), "unreadable": bad})


def _write_array(path: Path, files: Sequence[Path], form: Picture, unreadable: str) -> dict[int, str]:
    """Write the images as an .npy file; return position → reason of unreadable files, whose rows are 0."""
    bad = {}
    empty = np.zeros(form.shape, np.uint8)
    bar = tqdm(total=len(files), desc="images", unit="image", disable=None)
    # Pillow decodes and resizes outside Python's lock.
    with path.open("wb") as target, ThreadPoolExecutor(os.cpu_count()) as pool, bar:
        _write_header(target, (len(files), *form.shape))
        for start in range(0, len(files), CHUNK):
            part = files[start : start + CHUNK]
            for number, row in enumerate(pool.map(lambda file: _row(file, form), part), start):
                if isinstance(row, str):
                    _check_allowed(files[number], row, unreadable)
                    bad[number] = row
                target.write((empty if isinstance(row, str) else row).tobytes())
            bar.update(len(part))
    return bad


def _write_header(target: BinaryIO, shape: Sequence[int]) -> None:
    np.lib.format.write_array_header_1_0(target, {"descr": "|u1", "fortran_order": False, "shape": tuple(shape)})


def _row(file: Path, form: Picture) -> np.ndarray | str:
    """An image file as bytes [C, H, W], or the reason why it cannot be read."""
    try:
        with Image.open(file) as image:
            return _pixels(ImageOps.exif_transpose(image), form)
    # Pillow raises errors of many kinds for damaged files: SyntaxError, struct.error, DecompressionBombError, …
    except Exception as error:
        return str(error) or type(error).__name__


def _pixels(image: Image.Image, form: Picture) -> np.ndarray:
    if image.mode.startswith("I"):
        # Sixteen bits a pixel, which Pillow would clip at 255.
        image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("its pixels are no whole numbers")
    image = image.convert("RGB" if form.colour else "L")
    if form.crop is not None:
        image = _centre(image, form.crop)
    fitted = ImageOps.fit(image, (form.width, form.height), Image.Resampling.BILINEAR)
    pixels = np.asarray(fitted)
    return np.moveaxis(pixels, -1, 0) if form.colour else pixels[None]


def _centre(image: Image.Image, side: int) -> Image.Image:
    """The square in the centre; the whole of an image that is smaller."""
    left, top = ((whole - side) // 2 for whole in image.size)
    return image if min(left, top) < 0 else image.crop((left, top, left + side, top + side))


def _check_allowed(file: Path, reason: str, unreadable: str) -> None:
    if unreadable == "refuse":
        raise ValueError(
            f"{file} cannot be read as an image: {reason}. Remove it or get another copy; dataset.unreadable=skip "
            "leaves out all such files"
        )


def _loaded(path: Path, in_memory: bool | None) -> Tensor:
    if in_memory is None:
        in_memory = path.stat().st_size <= MEMORY_SHARE * psutil.virtual_memory().available
    if in_memory:
        return torch.from_numpy(np.load(path, allow_pickle=False))
    mapped = MappedArray(path)
    return LazyRows(mapped, torch.arange(len(mapped.rows)))
