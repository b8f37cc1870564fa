"""Bins of histograms that keep all of a sample: what lies beyond an axis is counted in its end bins, or said."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from vae_hydra.drawing.plots.arrays import Array, to_array
from vae_hydra.drawing.plots.axes import is_wide

# Said once a figure where a panel has such bins.
AT_THE_ENDS = "the end bins hold all that lies beyond them"


def bin_edges(low: float, high: float, bins: int) -> Array:
    """Edges of bins from ``low`` to ``high``, of equal width or, where ``is_wide``, of equal ratio."""
    if is_wide(low, high):
        return np.geomspace(low, high, bins + 1)
    return np.linspace(low, max(high, low + 1e-6), bins + 1)


def all_counted(values: Any, edges: Array) -> Array:
    """Numbers of values in each bin; values beyond the edges, infinite ones too, are in the first or the last bin."""
    array = to_array(values).ravel().astype(np.float64)
    return np.histogram(array.clip(edges[0], edges[-1]), edges)[0]


def all_shares(values: Any, edges: Array) -> Array:
    """The share of all values in each bin, per unit; values beyond the edges are in the first or the last bin."""
    return all_counted(values, edges) / (np.size(values) * np.diff(edges))


def shares_within(values: Any, edges: Array) -> Array:
    """The share of all values in each bin, per unit; values beyond the edges count in the total alone."""
    array = to_array(values).ravel()
    return np.histogram(array, edges)[0] / (len(array) * np.diff(edges))


def beyond(values: Any, low: float, high: float) -> tuple[float, float]:
    """The shares of values below ``low`` and above ``high``."""
    array = to_array(values).ravel()
    return float((array < low).mean()), float((array > high).mean())


def note_ends(samples: Iterable[Any], low: float, high: float) -> str:
    """``AT_THE_ENDS`` where a value lies beyond; else empty."""
    return AT_THE_ENDS if any(sum(beyond(values, low, high)) for values in samples) else ""


def say_beyond(axes: Any, values: Any, low: float, high: float) -> None:
    """Write into the upper corners of a panel which share of the values lies beyond its axis, where any does."""
    for share, (x, side, text) in zip(
        beyond(values, low, high), ((0.02, "left", "← {}"), (0.98, "right", "{} →")), strict=True
    ):
        if share:
            number = f"{share:.1%}" if share >= 0.0005 else "<0.1%"
            axes.text(x, 0.98, text.format(number), transform=axes.transAxes, ha=side, va="top", fontsize=7)
