"""The trials of a search: their values in order, and against each option."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from vae_hydra.drawing.plots.axes import axes_grid, legend_entries, single_axes
from vae_hydra.drawing.plots.style import COLOURS, INK, styled

# A logarithmic axis of fewer decades has ticks between the powers of ten.
FEW_DECADES = 1.5
# Pruned or not → colour and marker.
LOOKS = {
    False: {"color": COLOURS[0], "marker": "o", "label": "done"},
    True: {"color": COLOURS[3], "marker": "x", "label": "pruned"},
}


class Tried(NamedTuple):
    """A trial with a value; ``pruned`` if it was stopped early."""

    number: int
    value: float
    pruned: bool
    options: Mapping[str, Any]


class Range(NamedTuple):
    """The range of a searched number, and whether the search was uniform in its logarithm."""

    low: float
    high: float
    log: bool


@styled
def search_history(trials: Sequence[Tried], label: str) -> Figure:
    """The value of each trial, and the best so far; values far below most are drawn at the lower edge.

    Args:
        trials: in their order; at least one is done.
        label: of the value, with its unit.
    """
    figure, axes = single_axes(6.4, 3.8)
    _scatter(axes, trials, [trial.number for trial in trials], _lower_edge(trials))
    done = [trial for trial in trials if not trial.pruned]
    x = [*(trial.number for trial in done), trials[-1].number]
    best = np.maximum.accumulate([*(trial.value for trial in done), done[-1].value])
    axes.step(x, best, where="post", color=INK, linewidth=1, label="best so far")
    axes.set(xlabel="trial", ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure


@styled
def search_options(
    trials: Sequence[Tried],
    importances: Mapping[str, float],
    domains: Mapping[str, Range | Sequence[str]],
    label: str,
) -> Figure:
    """The value of each trial against each option: a panel an option, the most important first.

    A panel has the trials that have its option: that of one sampler is no option of another.

    Args:
        trials: at least one is done.
        importances: option → share of the variation that it accounts for; options that not all trials have are not
            compared so, and come last.
        domains: option → its range, or its choices.
        label: of the value, with its unit.
    """
    # One edge for all panels, which share their axis: the trials of one may all be pruned.
    low = _lower_edge(trials)
    options = [*importances, *(option for option in domains if option not in importances)]
    figure, grid = axes_grid(len(options), 4, (3.1, 2.9), sharey=True)
    for axes, option in zip(grid.flat, options, strict=False):
        having = [trial for trial in trials if option in trial.options]
        places = _places(axes, [trial.options[option] for trial in having], domains[option])
        _scatter(axes, having, places, low)
        known = option in importances
        axes.set_title(f"{option}\n" + (f"importance {importances[option]:.2f}" if known else f"{len(having)} trials"))
    figure.supylabel(label)
    figure.legend(*legend_entries(grid.flat), loc="outside upper center", ncols=5)
    return figure


def _lower_edge(trials: Sequence[Tried]) -> float:
    """A little less than the lowest value that is done, or than 2·median − best of these values if that is greater."""
    done = np.array([trial.value for trial in trials if not trial.pruned])
    median, best = np.median(done), done.max()
    margin = 0.05 * (best - median) or 1.0
    return float(max(done.min(), 2 * median - best) - margin)


def _scatter(axes: Any, trials: Sequence[Tried], places: Sequence[float], low: float) -> None:
    """Draw trials, done and pruned; those below ``low`` as triangles at that edge."""
    for pruned, drawn in LOOKS.items():
        points = [(x, trial.value) for x, trial in zip(places, trials, strict=True) if trial.pruned == pruned]
        inside, below = [p for p in points if p[1] >= low], [(x, low) for x, y in points if y < low]
        at_edge = {**drawn, "marker": "v", "label": f"{drawn['label']}, below"}
        for part, options in ((inside, drawn), (below, at_edge)):
            if part:
                axes.scatter(*zip(*part, strict=True), s=24, zorder=3, clip_on=False, **options)
    axes.set_ylim(bottom=low)


def _places(axes: Any, values: Sequence[Any], domain: Range | Sequence[str]) -> list[float]:
    """Places of values on the horizontal axis, which is set up for them: choices stand side by side."""
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
    axes.set_xticks(range(len(domain)), domain, rotation=30, ha="right")
    axes.set_xlim(-0.5, len(domain) - 0.5)
    return [float(domain.index(value)) for value in values]
