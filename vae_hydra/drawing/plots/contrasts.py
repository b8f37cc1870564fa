"""Scores of outliers over those of test examples, as histograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from vae_hydra.drawing.plots.charts import COLOURS, WIDE

BINS = 60


class Contrast(NamedTuple):
    """Scores [N] inside and [M] outside a distribution, finite or not, and what to write over them."""

    inside: Any
    outside: Any
    title: str


def contrasts(rows: Mapping[str, Mapping[str, Contrast]], inside_name: str, headings: Mapping[str, str]) -> Figure:
    """A row of panels for each set of outliers and a column for each score, each panel with an axis of its own.

    The axis holds 99 % of either sample, and is logarithmic where all that is positive and spread over more than a
    factor of ten; areas are equal.

    Args:
        rows: name of the outliers → score → contrast; all rows have the same scores.
        inside_name: of the sample that is drawn filled.
        headings: score → title of its column, with its unit.
    """
    columns = list(next(iter(rows.values())))
    size = (2.6 * len(columns) + 0.4, 1.75 * len(rows) + 0.9)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    for line, (name, panels) in zip(grid, rows.items(), strict=True):
        for axes, column in zip(line, columns, strict=True):
            _panel(axes, panels[column])
        line[0].set_ylabel(name)
    for axes, column in zip(grid[-1], columns, strict=True):
        axes.set_xlabel(headings[column])
    handles = grid[0, 0].patches[:2]
    figure.legend(handles, [inside_name, "outliers"], loc="outside upper left", ncols=2, frameon=False)
    return figure


def _panel(axes: Any, contrast: Contrast) -> None:
    samples = [np.asarray(sample, dtype=float) for sample in contrast[:2]]
    edges = _edges([sample[np.isfinite(sample)] for sample in samples])
    looks: Sequence[Mapping[str, Any]] = (
        {"color": COLOURS[7], "alpha": 0.6, "histtype": "stepfilled"},
        {"color": COLOURS[3], "histtype": "step", "linewidth": 1.4},
    )
    for sample, look in zip(samples, looks, strict=True):
        # Shares of all: what lies beyond the axis is missing from it.
        axes.hist(sample, bins=edges, weights=np.full(len(sample), 1 / len(sample)), **look)
    if not np.allclose(np.diff(edges), edges[1] - edges[0]):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.locator_params(axis="x", nbins=4)
    axes.set_title(contrast.title, fontsize=9)
    axes.set_yticks([])
    axes.spines[["top", "right", "left"]].set_visible(False)


def _edges(samples: Sequence[Any]) -> Any:
    ends = np.concatenate([np.quantile(sample, [0.005, 0.995]) for sample in samples if len(sample)] or [[0.0, 1.0]])
    low, high = ends.min(), ends.max()
    if low > 0 and high > WIDE * low:
        return np.geomspace(low, high, BINS + 1)
    return np.linspace(low, max(high, low + 1e-6), BINS + 1)
