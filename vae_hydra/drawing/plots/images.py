"""Images under one another, in a grid, and side by side."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vae_hydra.drawing.plots.arrays import Array, Limits, to_array

# Pixels of white between rows of a block.
GAP = 1


def image_rows(rows: Mapping[str, Any], limits: Limits, own_limits: Collection[str] = ()) -> Figure:
    """Rows of images under one another, e.g. originals over their reconstructions.

    Args:
        rows: title → images [N, C, H, W], the same N in each row.
        limits: values shown as black and white; what lies outside is clipped.
        own_limits: titles of rows that are shown by their own least and greatest value instead.
    """
    arrays = {title: to_array(images) for title, images in rows.items()}
    count = len(next(iter(arrays.values())))
    figure = Figure(figsize=(0.9 * count + 1.3, 0.95 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), count, squeeze=False)
    for line, (title, images) in zip(grid, arrays.items(), strict=True):
        shown = _own_limits(images) if title in own_limits else limits
        for axes, image in zip(line, images, strict=True):
            show_image(axes, unit_range(image, shown))
        line[0].set_ylabel(title, rotation=0, ha="right", va="center")
    return figure


def image_grid(images: Any, limits: Limits, labels: Any = None) -> Figure:
    """Images [N, C, H, W] in a grid as square as N allows, over each its label [N] unless that is None.

    ``limits`` as for ``image_rows``.
    """
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    figure = Figure(figsize=(0.8 * columns, (0.8 if labels is None else 1.0) * rows), layout="constrained")
    arrays = to_array(images)
    for number, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        if number < len(arrays):
            show_image(axes, unit_range(arrays[number], limits))
            if labels is not None:
                axes.set_title(str(labels[number].item()), fontsize=8, pad=2)
        else:
            axes.axis("off")
    return figure


def image_columns(
    blocks: Mapping[str, Mapping[str, Any]], limits: Limits, own_limits: Collection[tuple[str, str]] = ()
) -> Figure:
    """Blocks of image rows side by side, each block one image: quick to draw however many there are.

    Args:
        blocks: title of a block → title of a row → images [N, C, H, W]; a block leaves out the rows it has not.
        limits: values shown as black and white.
        own_limits: (block, row) shown by their own least and greatest value instead.
    """
    arrays = {block: {row: to_array(images) for row, images in rows.items()} for block, rows in blocks.items()}
    most = max(len(rows) for rows in arrays.values())
    first = next(iter(next(iter(arrays.values())).values()))
    count, height, width = len(first), *first.shape[-2:]
    strip_width = 0.55 * count * width / height
    size = (strip_width + 1.5) * len(arrays), 0.58 * most + 0.5
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(1, len(arrays), squeeze=False)
    for axes, (block, rows) in zip(grid.flat, arrays.items(), strict=True):
        shown = {row: _own_limits(images) if (block, row) in own_limits else limits for row, images in rows.items()}
        strips = [_strip(unit_range(images, shown[row])) for row, images in rows.items()]
        strips += [np.ones_like(strips[0])] * (most - len(strips))
        show_image(axes, np.concatenate(strips, axis=-2))
        axes.set_yticks([(height + GAP) * (i + 0.5) for i in range(len(rows))], rows)
        axes.tick_params(length=0)
        axes.set_title(block, fontsize=10)
    return figure


def _strip(images: Array) -> Array:
    """[N, C, H, W] → one image [C, H + GAP, N·(W + 1) − 1]: a white line between any two, white below."""
    lined = np.pad(images, ((0, 0), (0, 0), (0, GAP), (0, 1)), constant_values=1.0)
    return np.concatenate(list(lined), axis=-1)[..., :-1]


def _own_limits(images: Array) -> Limits:
    return float(images.min()), float(images.max())


def unit_range(images: Array, limits: Limits) -> Array:
    """Values from the lower limit to the upper as 0 to 1; what lies outside is clipped."""
    low, high = limits
    return np.clip((images - low) / max(high - low, 1e-6), 0, 1)


def show_image(axes: Any, image: Array) -> None:
    """Draw an image [C, H, W] of values in [0, 1], grey or in colour, without ticks or a frame."""
    # matplotlib takes H×W for grey and H×W×3 for colour.
    axes.imshow(image.transpose(1, 2, 0) if len(image) == 3 else image[0], cmap="gray", vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
