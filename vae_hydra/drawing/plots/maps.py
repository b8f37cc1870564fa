"""Matrices as heat maps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from vae_hydra.drawing.plots.arrays import to_array
from vae_hydra.drawing.plots.axes import axes_grid, hide_frame, is_wide, single_axes, wrapped
from vae_hydra.drawing.plots.names import latent_name
from vae_hydra.drawing.plots.style import AMOUNTS, INK, PAPER, SIGNED, styled

# More latents than this along a side are not all named, and their correlations not written.
NAMED, WRITTEN = 40, 12


@styled
def heat_maps(
    maps: Mapping[str, Any], rows: Sequence[str], columns: Sequence[str], label: str, axis_titles: tuple[str, str]
) -> Figure:
    """Matrices [rows, columns] side by side on one colour scale, a number in each cell; NaN cells stay empty.

    The scale is logarithmic where the values are positive and spread over more than a factor of ten.

    Args:
        maps: title → matrix.
        rows, columns: names of the rows and of the columns.
        label: of the colour scale, with its unit.
        axis_titles: titles of the vertical and of the horizontal axis.
    """
    arrays = {title: np.asarray(values, dtype=float) for title, values in maps.items()}
    panel = (1.1 + 0.78 * len(columns), 1.3 + 0.5 * len(rows))
    figure, grid = axes_grid(len(maps), 3, panel, (1.6, 0.0), sharex=True, sharey=True)
    norm = _scale(np.concatenate([values[np.isfinite(values)] for values in arrays.values()]))
    for axes, (title, values) in zip(grid.flat, arrays.items(), strict=False):
        picture = axes.imshow(values, norm=norm, cmap=AMOUNTS, aspect="auto")
        axes.set_xticks(range(len(columns)), columns, rotation=40, ha="right")
        axes.set_yticks(range(len(rows)), rows)
        axes.set_title(wrapped(title, panel[0]))
        hide_frame(axes)
        for (i, j), value in np.ndenumerate(values):
            if np.isfinite(value):
                ink = PAPER if norm(value) < 0.55 else INK
                axes.text(j, i, f"{value:.3g}", ha="center", va="center", color=ink)
    for axes in grid.flat[max(0, len(maps) - grid.shape[1]) : len(maps)]:
        # The panel below may be absent.
        axes.tick_params(labelbottom=True)
    figure.supylabel(axis_titles[0])
    figure.supxlabel(axis_titles[1])
    # The label of the scale is no longer than the scale.
    height = max(1.2, 0.55 * len(rows) * len(grid))
    figure.colorbar(picture, ax=grid, label="\n".join(wrapped(line, height) for line in label.splitlines()))
    return figure


@styled
def correlation_matrix(matrix: Any, names: tuple[str, str]) -> Figure:
    """Correlations [L₁, L₂] of the latents of one model, down, with those of another, across; −1 blue, 1 red.

    Args:
        matrix: the correlations.
        names: of the two models.
    """
    values = to_array(matrix)
    rows, columns = values.shape
    figure, axes = single_axes(2.6 + 0.34 * min(columns, NAMED), 1.8 + 0.34 * min(rows, NAMED))
    picture = axes.imshow(values, cmap=SIGNED, vmin=-1, vmax=1)
    for count, set_ticks in ((rows, axes.set_yticks), (columns, axes.set_xticks)):
        named = range(0, count, math.ceil(count / NAMED))
        set_ticks(named, [latent_name(latent) for latent in named])
    hide_frame(axes)
    if max(rows, columns) <= WRITTEN:
        for (i, j), value in np.ndenumerate(values):
            ink = PAPER if abs(value) > 0.6 else INK
            axes.text(j, i, f"{value:.2f}".replace("0.", "."), ha="center", va="center", color=ink, fontsize=6)
    axes.set_ylabel(f"latents of\n{names[0]}")
    axes.set_xlabel(f"latents of\n{names[1]}")
    figure.colorbar(picture, ax=axes, label="Spearman's correlation of the codes", shrink=0.8)
    return figure


def _scale(values: np.ndarray) -> Normalize:
    low, high = float(values.min()), float(values.max())
    return LogNorm(low, high) if is_wide(low, high) else Normalize(low, high)
