"""Histograms: of draws over a density, of parameters, of values under several noises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from vae_hydra.drawing.plots.arrays import Array, Limits, to_array
from vae_hydra.drawing.plots.axes import axes_grid, few_ticks, hide_heights, is_wide, legend_entries, log_ticks
from vae_hydra.drawing.plots.bins import all_counted, all_shares, bin_edges, note_ends, say_beyond, shares_within
from vae_hydra.drawing.plots.style import COLOURS, INK, PALE, styled

BINS = 60
# An outline over other heights is at most so many times as high as they are.
HIGH = 3.0
# More panels than this go into further rows.
PANELS_A_ROW = 5


class OverDensity(NamedTuple):
    """Draws of one quantity, and the density to compare them with.

    Attributes:
        draws: [N]; those outside ``limits`` count in the total, and their share is written at the side.
        limits: of the axis.
        x, density: points [M] and the density there [M]; both empty for a quantity without one.
        points: a second sample [K], shown as an outline; empty for no outline.
    """

    draws: Any
    limits: Limits
    x: Any = ()
    density: Any = ()
    points: Any = ()


@styled
def draws_over_densities(
    panels: Mapping[str, OverDensity],
    names: tuple[str, str, str],
    label: str,
    title: str = "",
    a_row: int = PANELS_A_ROW,
) -> Figure:
    """Histograms of draws, as a share per unit, under the density that they should have: a panel each.

    Args:
        panels: title → contents.
        names: of the draws, of the density, and of the points, for the legend.
        label: of the horizontal axis.
        title: of the figure.
        a_row: panels a row.
    """
    figure, grid = axes_grid(len(panels), a_row, (2.4, 2.1), (0.0, 0.8), 4.5)
    for axes, (name, panel) in zip(grid.flat, panels.items(), strict=False):
        edges = np.linspace(*panel.limits, BINS + 1)
        heights = shares_within(panel.draws, edges)
        axes.stairs(heights, edges, fill=True, color=COLOURS[5], alpha=0.7, label=names[0])
        top = heights.max()
        if len(panel.x):
            density = to_array(panel.density)
            axes.plot(to_array(panel.x), density, color=INK, linewidth=1.2, label=names[1])
            # A density may be infinite where its support begins: the first bin does not count.
            beyond = density[(to_array(panel.x) >= edges[1]) & np.isfinite(density)]
            top = max(top, beyond.max(initial=0.0))
        if len(panel.points):
            top = _outline(axes, panel.points, edges, names[2], top)
        axes.set(title=name, xlim=panel.limits, ylim=(0, 1.2 * top if top > 0 else 1))
        say_beyond(axes, panel.draws, *panel.limits)
    _finish(figure, grid, len(panels), label, title)
    return figure


def _outline(axes: Any, points: Any, edges: Array, name: str, top: float) -> float:
    """Draw a second sample as an outline; the height that the panel needs for it, at most ``HIGH`` times ``top``.

    A higher outline, of a sample in few bins, ends there and says how high it is.
    """
    heights = shares_within(points, edges)
    highest, room = heights.max(), HIGH * top
    axes.stairs(heights.clip(max=1.1 * room), edges, color=COLOURS[3], label=name)
    if highest > room:
        axes.text(0.5, 0.98, f"{name} up to {highest:.3g}", transform=axes.transAxes, ha="center", va="top", fontsize=7)
    return max(top, min(highest, room))


@styled
def parameter_histograms(
    rows: Mapping[str, Any], names: Sequence[str], marks: Mapping[str, float], title: str = ""
) -> Figure:
    """Histograms of parameters of several latents: a row a parameter, a column a latent, one axis a row.

    An axis is logarithmic where the values are positive and spread over more than a factor of ten; it holds the middle
    99 % of all values, and the mark. Its end bins count the values beyond it.

    Args:
        rows: name of a parameter → its values [N, L].
        names: of the L latents.
        marks: name of a parameter → a value to mark, e.g. the prior's; a parameter may be absent.
        title: of the figure.
    """
    count, note = len(names), ""
    figure, grid = axes_grid(len(rows) * count, count, (1.2, 1.35), (1.0, 1.0), 6.0, sharex="row")
    for line, (parameter, values) in zip(grid, rows.items(), strict=True):
        array = to_array(values)
        edges = _edges(array, [marks[parameter]] if parameter in marks else [])
        note = note or note_ends([array], edges[0], edges[-1])
        for axes, column in zip(line, array.T, strict=True):
            axes.stairs(all_counted(column, edges), edges, fill=True, color=COLOURS[0])
            if parameter in marks:
                axes.axvline(marks[parameter], color=COLOURS[3], linestyle="--", linewidth=1, label="prior")
            hide_heights(axes)
        if is_wide(edges[0], edges[-1]):
            line[0].set_xscale("log")
            log_ticks(line[0].xaxis, edges[0], edges[-1])
        else:
            few_ticks(line[0].xaxis, 3)
        line[0].set_ylabel(parameter)
    for axes, name in zip(grid[0], names, strict=True):
        axes.set_title(name)
    if marks:
        figure.legend(*legend_entries(grid.flat), loc="outside lower right")
    figure.suptitle("; ".join(filter(None, [title, note])))
    return figure


@styled
def value_histograms(panels: Mapping[str, Mapping[str, Any]], label: str, title: str = "") -> Figure:
    """Outlines of several samples of one quantity over one another, a share per unit on a logarithmic axis.

    The axis of a panel holds the middle 99.8 % of each of its samples; its end bins count the values beyond it.

    Args:
        panels: title → name of a sample → values of any shape.
        label: of the horizontal axis.
        title: of the figure.
    """
    note = ""
    figure, grid = axes_grid(len(panels), 2 if len(panels) in (2, 4) else 3, (3.3, 2.4), (0.0, 0.8), 4.5)
    for axes, (name, samples) in zip(grid.flat, panels.items(), strict=False):
        arrays = {key: to_array(values).ravel() for key, values in samples.items()}
        ends = np.concatenate([np.quantile(values, [0.001, 0.999]) for values in arrays.values()])
        edges = np.linspace(ends.min(), ends.max() + 1e-6, BINS + 1)
        for number, (key, values) in enumerate(arrays.items()):
            first = number == 0
            colour = PALE if first else COLOURS[number - 1]
            axes.stairs(all_shares(values, edges), edges, label=key, fill=first, color=colour)
        axes.set(title=name, yscale="log")
        note = note or note_ends(arrays.values(), edges[0], edges[-1])
    _finish(figure, grid, len(panels), label, "; ".join(filter(None, [title, note])))
    return figure


def _finish(figure: Figure, grid: Any, count: int, label: str, title: str) -> None:
    """Label the outer axes, and give the figure a title and a legend of every series once."""
    columns = grid.shape[1]
    for number, axes in enumerate(grid.flat[:count]):
        few_ticks(axes.xaxis)
        if number % columns == 0:
            axes.set_ylabel("share per unit")
        # The lowest of its column.
        if number + columns >= count:
            axes.set_xlabel(label)
    figure.suptitle(title)
    handles, names = legend_entries(grid.flat)
    figure.legend(handles, names, loc="outside lower center", ncols=len(names))


def _edges(values: Array, marks: Sequence[float]) -> Array:
    ends = np.array([*np.quantile(values[np.isfinite(values)], [0.005, 0.995]), *marks], dtype=np.float64)
    low, high = ends.min(), ends.max()
    margin = 0.0 if is_wide(low, high) else 0.02 * (high - low) + 1e-6
    return bin_edges(low - margin, high + margin, BINS // 2)
