"""Scores of outliers over those of test examples, as histograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from vae_hydra.drawing.plots.arrays import Array
from vae_hydra.drawing.plots.axes import axes_grid, few_ticks, hide_heights, is_wide
from vae_hydra.drawing.plots.bins import all_counted, bin_edges, note_ends
from vae_hydra.drawing.plots.style import COLOURS, styled

BINS = 60
INSIDE: Mapping[str, Any] = {"color": COLOURS[7], "alpha": 0.6, "fill": True}
OUTSIDE: Mapping[str, Any] = {"color": COLOURS[3], "linewidth": 1.4}


class Contrast(NamedTuple):
    """Scores [N] inside and [M] outside a distribution, finite or not, and the title of their panel."""

    inside: Any
    outside: Any
    title: str


@styled
def contrasts(rows: Mapping[str, Mapping[str, Contrast]], inside_name: str, headings: Mapping[str, str]) -> Figure:
    """A row of panels for each set of outliers and a column for each score, each panel with an axis of its own.

    The axis holds 99 % of either sample, and is logarithmic where these scores are positive and spread over more than a
    factor of ten. Its end bins count the scores beyond it.

    Args:
        rows: name of the outliers → score → contrast; all rows have the same scores.
        inside_name: name of the sample that is drawn filled.
        headings: score → title of its column, with its unit.
    """
    columns = list(next(iter(rows.values())))
    figure, grid = axes_grid(len(rows) * len(columns), len(columns), (2.6, 1.75), (0.4, 0.9))
    note = ""
    for line, (name, panels) in zip(grid, rows.items(), strict=True):
        for axes, column in zip(line, columns, strict=True):
            note = _panel(axes, panels[column]) or note
        line[0].set_ylabel(name)
    for axes, column in zip(grid[-1], columns, strict=True):
        axes.set_xlabel(headings[column])
    handles = grid[0, 0].patches[:2]
    figure.supxlabel(note)
    figure.legend(handles, [inside_name, "outliers"], loc="outside upper left", ncols=2)
    return figure


def _panel(axes: Any, contrast: Contrast) -> str:
    """Draw a contrast, and return the note of its end bins."""
    samples = [np.asarray(sample, dtype=float) for sample in contrast[:2]]
    edges = _edges([sample[np.isfinite(sample)] for sample in samples])
    for sample, drawn in zip(samples, (INSIDE, OUTSIDE), strict=True):
        axes.stairs(all_counted(sample, edges) / len(sample), edges, **drawn)
    if is_wide(edges[0], edges[-1]):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        few_ticks(axes.xaxis)
    axes.set_title(contrast.title)
    hide_heights(axes)
    return note_ends(samples, edges[0], edges[-1])


def _edges(samples: Sequence[Array]) -> Array:
    ends = np.concatenate([np.quantile(sample, [0.005, 0.995]) for sample in samples if len(sample)] or [[0.0, 1.0]])
    return bin_edges(ends.min(), ends.max(), BINS)
