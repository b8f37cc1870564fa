"""Images as the tiles of one picture with named rows and columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vae_hydra.drawing.plots.arrays import Array, Limits, to_array
from vae_hydra.drawing.plots.axes import axes_grid
from vae_hydra.drawing.plots.images import show_image, unit_range
from vae_hydra.drawing.plots.style import MARK, styled

# Inches of a tile at most, and of the longer side of a mosaic.
TILE, LONGEST = 0.5, 6.0
# Of more names of rows or columns, every second or third is shown.
NAMES = 11


class Mosaic(NamedTuple):
    """Tiles, and the names of their rows and columns.

    Attributes:
        images: [R, C, channels, H, W], the first row at the top.
        rows, columns: R and C names, or none.
        marked: the column of the framed tile of each row, or None; empty for no frames.
    """

    images: Any
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    marked: Sequence[int | None] = ()


@styled
def image_mosaics(
    mosaics: Mapping[str, Mosaic],
    limits: Limits,
    axis_titles: tuple[str, str] = ("", ""),
    gap: int = 1,
    across: int = 5,
    title: str = "",
) -> Figure:
    """Mosaics side by side; each is one image, so that many tiles are quick to draw.

    Args:
        mosaics: title → mosaic; all of one shape.
        limits: values shown as black and white; values outside are clipped.
        axis_titles: titles of the vertical and of the horizontal axis.
        gap: white pixels between two tiles.
        across: mosaics a row.
        title: of the figure.
    """
    arrays = {name: to_array(mosaic.images) for name, mosaic in mosaics.items()}
    rows, columns = next(iter(arrays.values())).shape[:2]
    across = min(across, len(mosaics))
    tile = min(TILE, LONGEST / max(rows, columns), 2 * LONGEST / (columns * across))
    beside = 0.6 if any(mosaic.rows for mosaic in mosaics.values()) else 0.1
    figure, grid = axes_grid(len(mosaics), across, (tile * columns + beside, tile * rows + 0.5), (0.2, 0.2))
    for axes, (name, mosaic) in zip(grid.flat, mosaics.items(), strict=False):
        _draw(axes, mosaic, unit_range(arrays[name], limits), gap)
        axes.set_title(name)
    figure.supylabel(axis_titles[0])
    figure.supxlabel(axis_titles[1])
    figure.suptitle(title)
    return figure


def _draw(axes: Any, mosaic: Mosaic, images: Array, gap: int) -> None:
    height, width = images.shape[-2] + gap, images.shape[-1] + gap
    show_image(axes, tiled(images, gap))
    for names, step, set_ticks in (
        (mosaic.rows, height, axes.set_yticks),
        (mosaic.columns, width, axes.set_xticks),
    ):
        places = range(0, len(names), math.ceil(len(names) / NAMES) if names else 1)
        set_ticks([i * step + (step - gap - 1) / 2 for i in places], [names[i] for i in places])
    for row, column in enumerate(mosaic.marked):
        if column is None:
            continue
        corner = (column * width - 0.5, row * height - 0.5)
        axes.add_patch(
            Rectangle(corner, width - gap, height - gap, fill=False, edgecolor=MARK, linewidth=1.5, clip_on=False)
        )


def tiled(images: Array, gap: int) -> Array:
    """One image [channels, R·(H + gap) − gap, C·(W + gap) − gap] from [R, C, channels, H, W], white between tiles."""
    padded = np.pad(images, ((0, 0),) * 3 + ((0, gap),) * 2, constant_values=1.0)
    rows, columns, channels, height, width = padded.shape
    whole = padded.transpose(2, 0, 3, 1, 4).reshape(channels, rows * height, columns * width)
    return whole[:, : rows * height - gap, : columns * width - gap]
