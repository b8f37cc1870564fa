"""Images as the tiles of one picture whose rows and columns mean something."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vae_hydra.drawing.plots.arrays import Array, Limits, to_array
from vae_hydra.drawing.plots.images import show_image, unit_range

# Inches of a tile where there are few, and of the longer side of a mosaic of many.
TILE, LONGEST = 0.5, 6.0
# More names of rows or columns than this are thinned out.
NAMES = 11
FRAME = "#D55E00"


class Mosaic(NamedTuple):
    """Tiles and what their places mean.

    Attributes:
        images: [R, C, channels, H, W], the first row at the top.
        rows, columns: R and C names; none for no names.
        marked: of every row the column that is framed, or None; none for no frames.
    """

    images: Any
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    marked: Sequence[int | None] = ()


def image_mosaics(
    mosaics: Mapping[str, Mosaic],
    limits: Limits,
    axis_titles: tuple[str, str] = ("", ""),
    gap: int = 1,
    across: int = 5,
    title: str = "",
) -> Figure:
    """Mosaics beside one another, each quick to draw however many tiles it has.

    Args:
        mosaics: title → mosaic; all of one shape.
        limits: values shown as black and white; what lies outside is clipped.
        axis_titles: what the rows are, and what the columns are.
        gap: white pixels between two tiles.
        across: mosaics a row.
        title: over all.
    """
    arrays = {name: to_array(mosaic.images) for name, mosaic in mosaics.items()}
    rows, columns = next(iter(arrays.values())).shape[:2]
    across = min(across, len(mosaics))
    down = math.ceil(len(mosaics) / across)
    tile = min(TILE, LONGEST / max(rows, columns), 2 * LONGEST / (columns * across))
    room = (0.6 if any(mosaic.rows for mosaic in mosaics.values()) else 0.1, 0.5)
    size = (across * (tile * columns + room[0]) + 0.2, down * (tile * rows + room[1]) + 0.2)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat[len(mosaics) :]:
        axes.axis("off")
    for axes, (name, mosaic) in zip(grid.flat, mosaics.items(), strict=False):
        _draw(axes, mosaic, unit_range(arrays[name], limits), gap)
        axes.set_title(name, fontsize=9)
    figure.supylabel(axis_titles[0], fontsize=9)
    figure.supxlabel(axis_titles[1], fontsize=9)
    figure.suptitle(title, fontsize=10)
    return figure


def _draw(axes: Any, mosaic: Mosaic, images: Array, gap: int) -> None:
    height, width = images.shape[-2] + gap, images.shape[-1] + gap
    show_image(axes, tiled(images, gap))
    for number, (names, step, ticks) in enumerate(
        [(mosaic.rows, height, axes.set_yticks), (mosaic.columns, width, axes.set_xticks)]
    ):
        places = range(0, len(names), math.ceil(len(names) / NAMES) if names else 1)
        ticks([i * step + (step - gap - 1) / 2 for i in places], [names[i] for i in places], fontsize=7)
        axes.tick_params(axis="yx"[number], length=0)
    for row, column in enumerate(mosaic.marked):
        if column is None:
            continue
        corner = (column * width - 0.5, row * height - 0.5)
        axes.add_patch(
            Rectangle(corner, width - gap, height - gap, fill=False, edgecolor=FRAME, linewidth=1.5, clip_on=False)
        )


def tiled(images: Array, gap: int) -> Array:
    """[R, C, channels, H, W] → one image [channels, R·(H + gap) − gap, C·(W + gap) − gap], white between the tiles."""
    padded = np.pad(images, ((0, 0),) * 3 + ((0, gap),) * 2, constant_values=1.0)
    rows, columns, channels, height, width = padded.shape
    whole = padded.transpose(2, 0, 3, 1, 4).reshape(channels, rows * height, columns * width)
    return whole[:, : rows * height - gap, : columns * width - gap]
