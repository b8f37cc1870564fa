"""Histograms: of draws over a density, of parameters, of values under several noises."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from vae_hydra.drawing.plots.arrays import Array, Limits, to_array
from vae_hydra.drawing.plots.axes import few_ticks, log_ticks
from vae_hydra.drawing.plots.charts import COLOURS, WIDE, legend_entries

BINS = 60
# More panels than this go into further rows.
PANELS_A_ROW = 5


class OverDensity(NamedTuple):
    """Draws of one quantity, and what they are held against.

    Attributes:
        draws: [N]; those outside ``limits`` count, but are not shown.
        limits: of the axis.
        x, density: places [M] and the density there [M]; both empty for a quantity that has none.
        points: a second sample [K], shown as an outline; none for no outline.
    """

    draws: Any
    limits: Limits
    x: Any = ()
    density: Any = ()
    points: Any = ()


def draws_over_densities(
    panels: Mapping[str, OverDensity],
    names: tuple[str, str, str],
    label: str,
    title: str = "",
    a_row: int = PANELS_A_ROW,
) -> Figure:
    """A histogram of draws, as a share per unit, under the density they should have, a panel each.

    Args:
        panels: title → what it shows.
        names: of the draws, of the density, and of the points, for the legend.
        label: of the horizontal axis.
        title: over all.
        a_row: panels a row.
    """
    figure, grid = _panels(len(panels), a_row)
    for axes, (name, panel) in zip(grid.flat, panels.items(), strict=False):
        heights, edges = _shares(panel.draws, np.linspace(*panel.limits, BINS + 1))
        axes.stairs(heights, edges, fill=True, color=COLOURS[5], alpha=0.7, label=names[0])
        if len(panel.points):
            axes.stairs(*_shares(panel.points, edges), color=COLOURS[3], label=names[2])
        top = heights.max()
        if len(panel.x):
            density = to_array(panel.density)
            axes.plot(to_array(panel.x), density, color="black", linewidth=1.2, label=names[1])
            # A density may be infinite where its support begins: the first bin does not count.
            beyond = density[(to_array(panel.x) >= edges[1]) & np.isfinite(density)]
            top = max(top, beyond.max(initial=0.0))
        axes.set(xlim=panel.limits, ylim=(0, 1.08 * top if top > 0 else 1))
        axes.set_title(name, fontsize=9)
    _finish(figure, grid, len(panels), label, title)
    return figure


def parameter_histograms(
    rows: Mapping[str, Any], names: Sequence[str], marks: Mapping[str, float], title: str = ""
) -> Figure:
    """Histograms of parameters of several latents: a row a parameter, a column a latent, one axis a row.

    An axis is logarithmic where the values are positive and spread over more than a factor of ten; it holds the middle
    99 % of all values, and the mark.

    Args:
        rows: name of a parameter → its values [N, L].
        names: of the L latents.
        marks: name of a parameter → a value to mark, e.g. the prior's; a parameter may be absent.
        title: over all.
    """
    count = len(names)
    figure = Figure(figsize=(max(6.0, 1.05 * count + 1.0), 1.35 * len(rows) + 1.0), layout="constrained")
    grid = figure.subplots(len(rows), count, squeeze=False, sharex="row")
    for line, (parameter, values) in zip(grid, rows.items(), strict=True):
        array = to_array(values)
        edges = _edges(array, [marks[parameter]] if parameter in marks else [])
        for axes, column in zip(line, array.T, strict=True):
            axes.stairs(np.histogram(column, edges)[0], edges, fill=True, color=COLOURS[0])
            if parameter in marks:
                axes.axvline(marks[parameter], color=COLOURS[3], linestyle="--", linewidth=1, label="prior")
            axes.set_yticks([])
            axes.tick_params(labelsize=7)
            axes.spines[["top", "right", "left"]].set_visible(False)
        if _is_wide(edges):
            line[0].set_xscale("log")
            log_ticks(line[0].xaxis, edges[0], edges[-1])
        else:
            few_ticks(line[0].xaxis, 3)
        line[0].set_ylabel(parameter, fontsize=9)
    for axes, name in zip(grid[0], names, strict=True):
        axes.set_title(name, fontsize=9)
    if marks:
        figure.legend(*legend_entries(grid.flat), loc="outside lower right", frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10)
    return figure


def value_histograms(panels: Mapping[str, Mapping[str, Any]], label: str, title: str = "") -> Figure:
    """Outlines of several samples of one quantity over one another, a share per unit on a logarithmic axis.

    A panel's axis holds the middle 99.8 % of each of its samples.

    Args:
        panels: title → name of a sample → values of any shape.
        label: of the horizontal axis.
        title: over all.
    """
    figure, grid = _panels(len(panels), 2 if len(panels) in (2, 4) else 3, (3.3, 2.4))
    for axes, (name, samples) in zip(grid.flat, panels.items(), strict=False):
        arrays = {key: to_array(values).ravel() for key, values in samples.items()}
        ends = np.concatenate([np.quantile(values, [0.001, 0.999]) for values in arrays.values()])
        edges = np.linspace(ends.min(), ends.max() + 1e-6, BINS + 1)
        for number, (key, values) in enumerate(arrays.items()):
            first = number == 0
            colour = "#BBBBBB" if first else COLOURS[number - 1]
            axes.stairs(*_shares(values, edges), label=key, fill=first, color=colour)
        axes.set_yscale("log")
        axes.set_title(name, fontsize=9)
    _finish(figure, grid, len(panels), label, title)
    return figure


def _panels(count: int, a_row: int, inches: tuple[float, float] = (2.4, 2.1)) -> tuple[Figure, Any]:
    columns = min(a_row, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(max(4.5, inches[0] * columns), inches[1] * rows + 0.8), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[count:]:
        axes.axis("off")
    return figure, grid


def _finish(figure: Figure, grid: Any, count: int, across: str, title: str) -> None:
    """Labels of the outer axes, a title, and every series once."""
    columns = grid.shape[1]
    for number, axes in enumerate(grid.flat[:count]):
        axes.tick_params(labelsize=7)
        few_ticks(axes.xaxis)
        axes.spines[["top", "right"]].set_visible(False)
        if number % columns == 0:
            axes.set_ylabel("share per unit", fontsize=8)
        # The lowest of its column.
        if number + columns >= count:
            axes.set_xlabel(across, fontsize=8)
    figure.suptitle(title, fontsize=10)
    handles, names = legend_entries(grid.flat)
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False, fontsize=8)


def _shares(values: Any, edges: Array) -> tuple[Array, Array]:
    """Share of all values a bin, per unit: it adds up to 1 only where every value is in a bin."""
    array = to_array(values).ravel()
    return np.histogram(array, edges)[0] / (len(array) * np.diff(edges)), edges


def _edges(values: Array, marks: Sequence[float]) -> Array:
    finite = values[np.isfinite(values)]
    ends = np.array([*np.quantile(finite, [0.005, 0.995]), *marks], dtype=np.float64)
    low, high = ends.min(), ends.max()
    if low > 0 and high > WIDE * low:
        return np.geomspace(low, high, BINS // 2 + 1)
    margin = 0.02 * (high - low) + 1e-6
    return np.linspace(low - margin, high + margin, BINS // 2 + 1)


def _is_wide(edges: Array) -> bool:
    return bool(edges[0] > 0 and edges[-1] > WIDE * edges[0])
