"""Tails of samples, on axes where a power law is a straight line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vae_hydra.drawing.plots.arrays import Array, to_array
from vae_hydra.drawing.plots.axes import log_ticks, single_axes, styled
from vae_hydra.drawing.plots.series import style

# The axis begins where this share of the first sample lies further out.
BODY = 0.9


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
