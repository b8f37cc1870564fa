"""Axes in a grid, and their ticks."""

from __future__ import annotations

import math
import textwrap
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

# A logarithmic axis of fewer decades has ticks between the powers of ten.
DECADES = 2.0
# Positive values that spread beyond this factor are shown on a logarithmic scale.
WIDE = 10.0

# Inches of a letter of a title or a legend at most, on average.
LETTER = 0.075


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


def legend_entries(grid: Any) -> tuple[list[Any], list[str]]:
    """Handles and names of every series once, in the order in which panels first have them."""
    entries = {name: handle for axes in grid for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    return list(entries.values()), list(entries)


def wrapped(text: str, inches: float) -> str:
    """``text`` in lines that are no longer than so many inches."""
    return textwrap.fill(text, max(8, int(inches / LETTER)), break_on_hyphens=False)
