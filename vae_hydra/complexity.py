"""How complex images are, by what a compressor that knows nothing of them makes of them."""

from __future__ import annotations

import io
import math

import torch
from PIL import Image
from torch import Tensor

GREYS = 255


def compressed_length(images: Tensor, limits: tuple[float, float]) -> Tensor:
    """Length of each image as a PNG of 256 greys [nats]: 8·ln 2 a byte.

    Args:
        images: [N, C, H, W]; the channels are put under one another.
        limits: values that are black and white; what lies outside is clipped.

    Returns:
        [N], on the CPU in single precision.
    """
    low, high = limits
    levels = ((images - low) / max(high - low, 1e-6)).clamp(0, 1).mul(GREYS).round().byte().flatten(1, 2).cpu().numpy()
    return torch.tensor([len(_png(Image.fromarray(image))) * 8 * math.log(2) for image in levels])


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "png", optimize=True)
    return file.getvalue()
