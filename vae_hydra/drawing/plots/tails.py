"""Tails of samples, on axes where a power law is a straight line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vae_hydra.drawing.plots.arrays import Array, to_array
from vae_hydra.drawing.plots.axes import axes_grid, log_ticks, single_axes
from vae_hydra.drawing.plots.series import style
from vae_hydra.drawing.plots.style import INK, styled

# The axis begins where this share of the first sample lies further out.
BODY = 0.9
# The vertical axis of estimates leaves out this share of them at either end, where few values make them erratic.
ERRATIC = 0.02


def survival(values: Any) -> tuple[Array, Array]:
    """Ascending values t [n − 1] of a sample [n] and the share of it above each: (n − i)/n above the i-th.

    The largest value is left out: the share above it is 0, which a logarithmic axis cannot show.
    """
    ordered = np.sort(to_array(values).ravel())
    count = len(ordered)
    return ordered[:-1], 1 - np.arange(1, count) / count


@styled
def survival_curves(samples: Mapping[str, Any], label: str, title: str = "") -> Figure:
    """P(X > t) of positive samples over t, both axes logarithmic; P ~ t^(−α) is a straight line of slope −α.

    Args:
        samples: name → values [n].
        label: of the horizontal axis.
        title: of the figure.
    """
    figure, axes = single_axes(5.6, 4.2)
    for number, (name, values) in enumerate(samples.items()):
        drawn = style(number)
        axes.plot(*survival(values), color=drawn.colour, linestyle=drawn.line, label=name, drawstyle="steps-post")
    first = to_array(next(iter(samples.values())))
    axes.set(xscale="log", yscale="log", xlabel=label, ylabel="share above t", title=title)
    axes.set_xlim(left=float(np.quantile(first, 1 - BODY)))
    log_ticks(axes.xaxis, *axes.get_xlim())
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


@styled
def tail_index_curves(
    counts: Any, panels: Mapping[str, Mapping[str, Any]], truth: float | None = None, title: str = ""
) -> Figure:
    """Estimates of the shape ξ = 1/α of a tail, over the number k of largest values that each is made from.

    Args:
        counts: numbers k [K], ascending.
        panels: title → series → estimates [K]; those that are not finite are left out.
        truth: the true ξ, a horizontal line; None for none.
        title: of the figure.
    """
    figure, grid = axes_grid(len(panels), len(panels), (3.4, 3.2), margin=(0, 0.3), sharey=True)
    k = to_array(counts)
    for axes, (name, series) in zip(grid.flat, panels.items(), strict=True):
        for number, (label, estimates) in enumerate(series.items()):
            drawn = style(number)
            finite = np.isfinite(values := to_array(estimates))
            axes.plot(k[finite], values[finite], color=drawn.colour, linestyle=drawn.line, label=label)
        if truth is not None:
            axes.axhline(truth, color=INK, linestyle=":", label=f"truth, {truth:.3g}")
        axes.set(xscale="log", xlabel="k: largest values", title=name)
        log_ticks(axes.xaxis, k[0], k[-1])
        axes.grid(alpha=0.3)
    _limit_heights(grid[0, 0], truth)
    grid[0, 0].set_ylabel("ξ = 1/α, smaller is lighter")
    grid[0, 0].legend()
    figure.suptitle(title)
    return figure


def _limit_heights(axes: Any, truth: float | None) -> None:
    """Set the vertical axis, shared by all panels, to the truth and all estimates but the most erratic ones."""
    lines = [np.asarray(line.get_ydata(), dtype=float) for panel in axes.figure.axes for line in panel.lines]
    if estimates := [line for line in lines if line.size]:
        low, high = np.quantile(np.concatenate(estimates), [ERRATIC, 1 - ERRATIC])
        known = [] if truth is None else [truth]
        space = 0.1 * max(high - low, 0.1)
        axes.set_ylim(min([low, *known]) - space, max([high, *known]) + space)
