"""Labelled images as files, with one folder for each class, as torchvision's ImageFolder reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from vae_hydra.base.files import replacing_folder


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
