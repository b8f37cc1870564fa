"""Labelled images on disk, one folder a class, as torchvision's ImageFolder reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from vae_hydra.base.files import replacing_folder


def write_image_folder(images: Tensor, y: Tensor, limits: tuple[float, float], folder: Path) -> None:
    """Write images [N, C, H, W], C = 1 or 3, with labels [N] as ``folder/<class>/<number>.png``, of 8 bits.

    ``limits`` are the values that become 0 and 255; what lies outside is clipped. The names of classes have leading
    zeros, so that their order is that of the labels. The folder comes to be whole or not at all.
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
