"""Labelled images as files, with one folder for each class, as torchvision's ImageFolder reads them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from vae_hydra.base.files import replacing_folder

if TYPE_CHECKING:
    from torch import Tensor

# Those of torchvision's ImageFolder, which a folder of images can be read without.
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")

# Folders that stand for a split → its name.
SPLIT_FOLDERS = {
    "train": "train",
    "test": "test",
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
}


class LabelledFiles(NamedTuple):
    """Image files in the order of their names, and their labels.

    Attributes:
        files: paths.
        y: labels, from 0 in the order of the classes' names.
        classes: names of the classes; empty for a folder without folders, where all labels are 0.
    """

    files: list[Path]
    y: list[int]
    classes: list[str]


def image_splits(folder: Path) -> dict[str, LabelledFiles]:
    """Split → image files of a folder; only ``train`` if it has no folders for splits.

    Its folders are splits if they are called train, test, and val, valid or validation, and train is among them.
    Otherwise each folder is a class, with all images below it, and a folder without folders is one class. Hidden files,
    files that are no images by their ending, and folders without images do not count.

    Raises:
        ValueError: without images, for images beside folders of images, or for splits of different classes.
    """
    names = [name for name in _subfolders(folder) if _images_below(folder / name)]
    if "train" not in names or not set(names) <= SPLIT_FOLDERS.keys():
        return {"train": _labelled(folder, names)}
    places = {SPLIT_FOLDERS[name]: folder / name for name in names}
    if len(places) < len(names):
        raise ValueError(f"{folder} has several folders for validation: {', '.join(names)}; keep one")
    parts = {split: _labelled(place, _subfolders(place)) for split, place in places.items()}
    known = parts["train"].classes
    for split, part in parts.items():
        strangers = sorted(set(part.classes) - set(known))
        if strangers or bool(part.classes) != bool(known):
            raise ValueError(f"{places[split]} must have the classes of train, {known}, but it has {part.classes}")
    return {split: _with_classes(part, known) for split, part in parts.items()}


def _labelled(folder: Path, names: Sequence[str]) -> LabelledFiles:
    members = {name: _images_below(folder / name) for name in names}
    members = {name: files for name, files in members.items() if files}
    loose = sorted(file for file in folder.iterdir() if _is_image(file))
    if loose and members:
        raise ValueError(
            f"{folder} has images beside folders of images, {', '.join(list(members)[:5])}; move {loose[0].name} into "
            "one of them"
        )
    if not loose and not members:
        raise ValueError(f"there are no images in {folder}: files that end with {', '.join(SUFFIXES)}")
    if loose:
        return LabelledFiles(loose, [0] * len(loose), [])
    pairs = [(file, label) for label, files in enumerate(members.values()) for file in files]
    return LabelledFiles([file for file, _ in pairs], [label for _, label in pairs], list(members))


def _with_classes(part: LabelledFiles, classes: list[str]) -> LabelledFiles:
    """The files with labels that count ``classes``."""
    labels = [classes.index(name) for name in part.classes] or [0]
    return LabelledFiles(part.files, [labels[label] for label in part.y], classes)


def _subfolders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))


def _images_below(folder: Path) -> list[Path]:
    found = (Path(place) / name for place, _, names in os.walk(folder, followlinks=True) for name in names)
    return sorted(file for file in found if _is_image(file))


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()


def write_image_folder(images: Tensor, y: Tensor, limits: tuple[float, float], folder: Path) -> None:
    """Write images [N, C, H, W], C = 1 or 3, with labels [N], as 8-bit ``folder/<class>/<number>.png``.

    ``limits`` are the values that become 0 and 255; values outside are clipped. Class names have leading zeros, so
    that they sort like the labels. An error leaves no partly written folder.
    """
    low, high = limits
    scaled = ((images - low) / (high - low)).clamp(0, 1).mul(255).round().byte().numpy()
    class_digits, digits = len(str(int(y.max()))), len(str(len(scaled) - 1))
    with replacing_folder(folder) as new:
        for label in y.unique().tolist():
            (new / f"{label:0{class_digits}}").mkdir()
        for number, (image, label) in enumerate(zip(scaled, y.tolist(), strict=True)):
            picture = Image.fromarray(image[0] if len(image) == 1 else np.moveaxis(image, 0, -1))
            picture.save(new / f"{label:0{class_digits}}" / f"{number:0{digits}}.png")
