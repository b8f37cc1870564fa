"""Images under one another, in a grid, and side by side."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vae_hydra.drawing.plots.arrays import Array, Limits, to_array
from vae_hydra.drawing.plots.axes import LETTER, axes_grid, hide_frame, wrapped
from vae_hydra.drawing.plots.style import GREYS, styled

# Pixels of white between rows of a block, and inches of the name of a row at most.
GAP, NAME = 1, 2.2


@styled
def image_rows(rows: Mapping[str, Any], limits: Limits, own_limits: Collection[str] = ()) -> Figure:
    """Rows of images under one another, e.g. originals over their reconstructions.

    Args:
        rows: title → images [N, C, H, W], the same N in each row.
        limits: values shown as black and white; values outside are clipped.
        own_limits: titles of rows that are shown by their own least and greatest value instead.
    """
    arrays = {title: to_array(images) for title, images in rows.items()}
    count = len(next(iter(arrays.values())))
    figure, grid = axes_grid(len(rows), 1, (0.9 * count, 0.95), (1.3, 0.0))
    for axes, (title, images) in zip(grid.flat, arrays.items(), strict=True):
        ends = _own_limits(images) if title in own_limits else limits
        show_image(axes, _mosaic(unit_range(images, ends), count, _gap(images)))
        axes.set_ylabel(title, rotation=0, ha="right", va="center")
    return figure


@styled
def image_grid(images: Any, limits: Limits, labels: Any = None) -> Figure:
    """Images [N, C, H, W] in a grid as square as N allows, with labels [N] above them unless these are None.

    ``limits`` as for ``image_rows``.
    """
    arrays = unit_range(to_array(images), limits)
    across = math.ceil(math.sqrt(len(arrays)))
    gap, (height, width) = _gap(arrays), arrays.shape[-2:]
    head = 0 if labels is None else math.ceil(height / 4)
    mosaic = _mosaic(arrays, across, gap, head)
    figure, grid = axes_grid(1, 1, (0.8 * across, 0.8 * across * mosaic.shape[-2] / mosaic.shape[-1]))
    show_image(grid.flat[0], mosaic)
    for number, label in enumerate(() if labels is None else labels):
        down, right = divmod(number, across)
        place = ((width + gap) * right + width / 2, (height + head + gap) * down + head / 2)
        grid.flat[0].text(*place, str(label.item()), ha="center", va="center")
    return figure


@styled
def image_columns(
    blocks: Mapping[str, Mapping[str, Any]], limits: Limits, own_limits: Collection[tuple[str, str]] = ()
) -> Figure:
    """Blocks of image rows side by side, each block one image: quick to draw however many there are.

    Args:
        blocks: title of a block → title of a row → images [N, C, H, W]; a block may lack rows.
        limits: values shown as black and white.
        own_limits: (block, row) shown by their own least and greatest value instead.
    """
    arrays = {block: {row: to_array(images) for row, images in rows.items()} for block, rows in blocks.items()}
    most = max(len(rows) for rows in arrays.values())
    first = next(iter(next(iter(arrays.values())).values()))
    count, height, width = len(first), *first.shape[-2:]
    strip_width = 0.55 * count * width / height
    names = {row: wrapped(row, NAME) for rows in arrays.values() for row in rows}
    beside = 0.4 + LETTER * max(len(line) for name in names.values() for line in name.splitlines())
    figure, grid = axes_grid(len(arrays), len(arrays), (strip_width + beside, 0.58 * most), (0.0, 0.5))
    # This layout knows that images keep their shape; the usual one would cut long names.
    figure.set_layout_engine("compressed")
    for axes, (block, rows) in zip(grid.flat, arrays.items(), strict=True):
        ends = {row: _own_limits(images) if (block, row) in own_limits else limits for row, images in rows.items()}
        strips = [_strip(unit_range(images, ends[row])) for row, images in rows.items()]
        strips += [np.ones_like(strips[0])] * (most - len(strips))
        show_image(axes, np.concatenate(strips, axis=-2))
        axes.set_yticks([(height + GAP) * (i + 0.5) for i in range(len(rows))], [names[row] for row in rows])
        axes.set_title(block)
    return figure


def _gap(images: Array) -> int:
    """Pixels of white between images, a tenth of their width."""
    return max(GAP, round(images.shape[-1] / 10))


def _mosaic(images: Array, across: int, gap: int, head: int = 0) -> Array:
    """One image [C, …, …] of images [N, C, H, W], ``across`` in a row, ``gap`` pixels apart, with ``head`` above each.

    One picture is quick to draw, however many images it shows.
    """
    down = math.ceil(len(images) / across)
    blank = np.ones((across * down - len(images), *images.shape[1:]))
    padded = np.pad(np.concatenate([images, blank]), ((0, 0), (0, 0), (head, gap), (0, gap)), constant_values=1.0)
    lines = [np.concatenate(list(padded[i : i + across]), axis=-1) for i in range(0, len(padded), across)]
    return np.concatenate(lines, axis=-2)[..., :-gap, :-gap]


def _strip(images: Array) -> Array:
    """One image [C, H + GAP, N·(W + 1) − 1] from [N, C, H, W], with a white line between any two and white below."""
    lined = np.pad(images, ((0, 0), (0, 0), (0, GAP), (0, 1)), constant_values=1.0)
    return np.concatenate(list(lined), axis=-1)[..., :-1]


def _own_limits(images: Array) -> Limits:
    return float(images.min()), float(images.max())


def unit_range(images: Array, limits: Limits) -> Array:
    """Values scaled from the limits to [0, 1] and clipped to it."""
    low, high = limits
    return np.clip((images - low) / max(high - low, 1e-6), 0, 1)


def show_image(axes: Any, image: Array) -> None:
    """Draw an image [C, H, W] of values in [0, 1], grey or in colour, without ticks or a frame."""
    # matplotlib wants H×W for grey and H×W×3 for colour.
    axes.imshow(image.transpose(1, 2, 0) if len(image) == 3 else image[0], cmap=GREYS, vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
    hide_frame(axes)
