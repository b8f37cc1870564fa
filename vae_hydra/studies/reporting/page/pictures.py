"""Pictures within a page: the examples of each row, a strip for each sampler."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from vae_hydra.drawing.plots.arrays import Limits
from vae_hydra.drawing.plots.images import unit_range
from vae_hydra.studies.reporting.compared import Compared
from vae_hydra.studies.reporting.figures import clouds, file_name, without_math

# Characters of all pictures in a page; those beyond are in figures/ beside it.
MOST_CHARACTERS = 3_000_000
# Higher images are compressed with losses.
LOSSLESS = 32


def pictures(comparisons: Iterable[Compared], most: int = MOST_CHARACTERS) -> Iterator[dict[str, Any]]:
    """The examples of each row for the script of a page: its place, and strips or, for points, one picture.

    Beyond ``most`` characters there are neither strips nor a picture, and the script names the file in figures/.
    """
    for one in comparisons:
        shown = {"blocks": _blocks(one)} if one.are_images else {"picture": _drawn(one)}
        most -= len(str(shown))
        place = {**one.row._asdict(), "seed": one.seed, "file": f"figures/examples-{file_name(one.subject)}.png"}
        yield place | (shown if most >= 0 else {})


def _blocks(one: Compared) -> list[dict[str, Any]]:
    count, _, height, width = one.blocks["clean input"]["original"].shape
    return [
        {
            "title": title,
            "width": count * (width + 1) - 1,
            "height": height,
            "strips": [
                [name, _strip(x, _own_limits(x) if name == "input" else one.limits)] for name, x in rows.items()
            ],
        }
        for title, rows in one.blocks.items()
    ]


def _own_limits(images: np.ndarray) -> Limits:
    return float(images.min()), float(images.max())


def _strip(images: np.ndarray, limits: Limits) -> str:
    """Images [N, C, H, W] side by side, with a clear line between any two."""
    grey = np.round(255 * unit_range(images, limits)).astype(np.uint8)
    coloured = np.broadcast_to(grey, (len(grey), 3, *grey.shape[2:]))
    opaque = np.concatenate([coloured, np.full_like(coloured[:, :1], 255)], axis=1)
    lined = np.pad(opaque, ((0, 0), (0, 0), (0, 0), (0, 1)))
    strip = np.concatenate(list(lined), axis=-1)[..., :-1].transpose(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(strip, "RGBA").save(file, "WEBP", lossless=grey.shape[-2] <= LOSSLESS, quality=80)
    return _data_uri("webp", file.getvalue())


def _drawn(one: Compared) -> str:
    file = io.BytesIO()
    with without_math():
        clouds(one).savefig(file, format="png", dpi=100)
    return _data_uri("png", file.getvalue())


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
