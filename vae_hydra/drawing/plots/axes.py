"""Axes in a grid, in the style of this package, and their ticks."""

from __future__ import annotations

import functools
import math
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec

import numpy as np
from matplotlib import rc_context, rc_params_from_file, rcParams
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

_SHEET = rc_params_from_file(Path(__file__).with_name("figures.mplstyle"), use_default_template=False)
# A logarithmic axis of fewer decades has ticks between the powers of ten.
DECADES = 2.0
# Positive values that spread beyond this factor are shown on a logarithmic scale.
WIDE = 10.0

# Inches of a letter of a title or a legend at most, on average.
LETTER = 0.075

P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """``draw`` in the style of this package; matplotlib's settings are afterwards as they were before."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with rc_context(_SHEET):
            figure = draw(*args, **kwargs)
            for axes in figure.axes:
                # matplotlib makes tick labels when it needs them, which may be after the style has been left.
                axes.tick_params(which="both", labelsize=rcParams["xtick.labelsize"])
            return figure

    return drawn


def axes_grid(
    count: int,
    across: int,
    inches: tuple[float, float],
    margin: tuple[float, float] = (0.0, 0.0),
    least_width: float = 0.0,
    **options: Any,
) -> tuple[Figure, Any]:
    """A figure with ``count`` axes in rows; the axes [rows, columns], of which those past ``count`` are hidden.

    Args:
        count: number of panels.
        across: panels in a row at most.
        inches: width and height of one panel.
        margin: inches added to the width and to the height of the figure, e.g. for a legend.
        least_width: of the figure [inches].
        options: of ``Figure.subplots``.
    """
    columns = min(across, count)
    rows = math.ceil(count / columns)
    size = max(least_width, inches[0] * columns + margin[0]), inches[1] * rows + margin[1]
    figure = Figure(figsize=size)
    grid = figure.subplots(rows, columns, squeeze=False, **options)
    for axes in grid.flat[count:]:
        axes.axis("off")
    return figure, grid


def single_axes(width: float, height: float) -> tuple[Figure, Any]:
    """A figure of this size [inches], and its only axes."""
    figure, grid = axes_grid(1, 1, (width, height))
    return figure, grid[0, 0]


def hide_heights(axes: Any) -> None:
    """Leave out the vertical axis, of a panel in which only the shape counts."""
    axes.set_yticks([])
    axes.spines.left.set_visible(False)


def hide_frame(axes: Any) -> None:
    """Leave out the lines around a panel and the marks of its ticks."""
    axes.spines[:].set_visible(False)
    axes.tick_params(which="both", length=0)


def few_ticks(axis: Any, most: int = 4) -> None:
    """Set at most so many ticks of a linear axis."""
    axis.set_major_locator(MaxNLocator(most))


def log_ticks(axis: Any, low: float, high: float) -> None:
    """Set ticks of a logarithmic axis from ``low`` to ``high``: powers of ten; if these are few, 2 and 5 times too."""
    if math.log10(high / low) < DECADES:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def is_wide(low: float, high: float) -> bool:
    """Whether values from ``low`` to ``high`` are shown on a logarithmic scale."""
    return bool(low > 0 and high > WIDE * low)


def bin_edges(low: float, high: float, bins: int) -> np.ndarray:
    """Edges of bins from ``low`` to ``high``, of equal width or, where ``is_wide``, of equal ratio."""
    if is_wide(low, high):
        return np.geomspace(low, high, bins + 1)
    return np.linspace(low, max(high, low + 1e-6), bins + 1)


def legend_entries(grid: Any) -> tuple[list[Any], list[str]]:
    """Handles and names of every series once, in the order in which panels first have them."""
    entries = {name: handle for axes in grid for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    return list(entries.values()), list(entries)


def wrapped(text: str, inches: float) -> str:
    """``text`` in lines that are no longer than so many inches."""
    return textwrap.fill(text, max(8, int(inches / LETTER)), break_on_hyphens=False)
