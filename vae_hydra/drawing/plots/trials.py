"""What a search tried: how it went, and what its options did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from vae_hydra.drawing.plots.charts import COLOURS

# Below these, a logarithmic axis needs more than the powers of ten.
FEW_DECADES = 1.5
# Pruned → how it is drawn: in colour, and so that it is told apart without.
LOOKS = {
    False: {"color": COLOURS[0], "marker": "o", "label": "done"},
    True: {"color": COLOURS[3], "marker": "x", "label": "pruned"},
}


class Tried(NamedTuple):
    """A trial with a value: its number, the value, whether it was stopped early, and its options."""

    number: int
    value: float
    pruned: bool
    options: Mapping[str, Any]


class Range(NamedTuple):
    """From where to where a number was searched, and whether by its logarithm."""

    low: float
    high: float
    log: bool


def search_history(trials: Sequence[Tried], label: str) -> Figure:
    """The value of each trial, and the best so far; what is far below most stands at the lower edge.

    Args:
        trials: in their order, one of them done at least.
        label: of the value, with its unit.
    """
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    _scatter(axes, trials, [trial.number for trial in trials], _lower_edge(trials))
    done = [trial for trial in trials if not trial.pruned]
    x = [*(trial.number for trial in done), trials[-1].number]
    best = np.maximum.accumulate([*(trial.value for trial in done), done[-1].value])
    axes.step(x, best, where="post", color="black", linewidth=1, label="best so far")
    axes.set(xlabel="trial", ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=5, frameon=False)
    return figure


def search_options(
    trials: Sequence[Tried],
    importances: Mapping[str, float],
    domains: Mapping[str, Range | Sequence[str]],
    label: str,
) -> Figure:
    """The value of each trial against each option, a panel an option, the most important first.

    Args:
        trials: one of them done at least, all of them with each of the options.
        importances: option → share of the variation that it accounts for.
        domains: option → its range, or what it was chosen from.
        label: of the value, with its unit.
    """
    columns = min(4, len(importances))
    rows = -(-len(importances) // columns)
    figure = Figure(figsize=(3.1 * columns, 2.9 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes, (option, importance) in zip(grid.flat, importances.items(), strict=False):
        places = _places(axes, [trial.options[option] for trial in trials], domains[option])
        _scatter(axes, trials, places, _lower_edge(trials))
        axes.set_title(f"{option}\nimportance {importance:.2f}", fontsize=9)
    for axes in grid.flat[len(importances) :]:
        axes.axis("off")
    figure.supylabel(label, fontsize=10)
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=5, frameon=False)
    return figure


def _lower_edge(trials: Sequence[Tried]) -> float:
    """As far below the median of what is done as the best is above it, and no lower than all of it."""
    done = np.array([trial.value for trial in trials if not trial.pruned])
    median, best = np.median(done), done.max()
    margin = 0.05 * (best - median) or 1.0
    return float(max(done.min(), 2 * median - best) - margin)


def _scatter(axes: Any, trials: Sequence[Tried], places: Sequence[float], low: float) -> None:
    """Draw trials, done and pruned; those below ``low`` as triangles at that edge."""
    for pruned, look in LOOKS.items():
        points = [(x, trial.value) for x, trial in zip(places, trials, strict=True) if trial.pruned == pruned]
        seen, below = [p for p in points if p[1] >= low], [(x, low) for x, y in points if y < low]
        beyond = {**look, "marker": "v", "label": f"{look['label']}, below"}
        for shown, how in ((seen, look), (below, beyond)):
            if shown:
                axes.scatter(*zip(*shown, strict=True), s=24, zorder=3, clip_on=False, **how)
    axes.set_ylim(bottom=low)
    axes.spines[["top", "right"]].set_visible(False)


def _places(axes: Any, values: Sequence[Any], domain: Range | Sequence[str]) -> list[float]:
    """Where values stand on the horizontal axis: numbers as they are, choices beside each other."""
    if isinstance(domain, Range):
        if domain.log:
            axes.set_xscale("log")
            decades = np.log10(domain.high / domain.low)
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < FEW_DECADES else (1.0,)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        edge = 1.15 if domain.log else 0.05 * (domain.high - domain.low)
        low, high = (domain.low / edge, domain.high * edge) if domain.log else (domain.low - edge, domain.high + edge)
        axes.set_xlim(low, high)
        return list(values)
    axes.set_xticks(range(len(domain)), domain, rotation=30, ha="right", fontsize=8)
    axes.set_xlim(-0.5, len(domain) - 0.5)
    return [float(domain.index(value)) for value in values]
