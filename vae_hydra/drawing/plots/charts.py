"""Numbers as charts: curves over the epochs, bars and curves of several samplers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vae_hydra.drawing.plots.axes import LETTER, axes_grid, is_wide, legend_entries, wrapped
from vae_hydra.drawing.plots.series import PARTS, Style
from vae_hydra.drawing.plots.style import PALE, styled

# Inches: the height of a line of means, the height of all lines at most, the width of a panel of curves, and the widths
# of a group's label and of a name in the legend at most.
LINE, TALLEST, PANEL, LABEL, LEGEND = 0.17, 60.0, 4.2, 3.0, 2.6


class Point(NamedTuple):
    """A mean and its spread, in the units of the chart; ``spread`` is NaN for one replicate."""

    mean: float
    spread: float


@styled
def loss_curves(history: Sequence[Mapping[str, float]], ends: tuple[float, float] | None = None) -> Figure:
    """Loss, log-likelihood and KL over the epochs, training and validation in one panel each.

    Both losses are at the same β. Where β moves in training, they are −log p(x|z) + β·KL(q‖p) at the final β,
    recomputed from these two, because the training losses that were logged use the β of their epoch.

    Args:
        history: a mapping per epoch with ``epoch`` and any of ``train/…`` and ``val/…``.
        ends: β before the first step, and the final one; None takes those of the first and the last epoch.
    """
    label, rows = _at_one_beta(history, ends)
    panels = [
        (label, rows, "loss"),
        ("log p(x|z) [nats per example]", history, "log_likelihood"),
        ("KL(q‖p) [nats per example]", history, "kl"),
    ]
    figure, grid = axes_grid(len(panels), len(panels), (4, 3.4))
    for axes, (label, shown, name) in zip(grid.flat, panels, strict=True):
        for part, title in (("train", "training"), ("val", "validation")):
            points = [(row["epoch"], row[f"{part}/{name}"]) for row in shown if f"{part}/{name}" in row]
            if points:
                axes.plot(*zip(*points, strict=True), label=title, **PARTS[title])
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if axes.lines:
            axes.legend()
    return figure


def _at_one_beta(
    history: Sequence[Mapping[str, float]], ends: tuple[float, float] | None
) -> tuple[str, Sequence[Mapping[str, float]]]:
    """Label and rows of the losses, as logged if all have the same β, else recomputed at the final β."""
    betas = [*(row["train/beta"] for row in history if "train/beta" in row), *(ends or ())]
    if not betas:
        return "loss [nats per example]", history
    final = betas[-1]
    # metrics.csv holds β rounded to float32.
    if np.allclose(betas, final, rtol=1e-6, atol=0):
        return f"loss at β = {final:g} [nats per example]", history
    label = f"−log p(x|z) + β·KL(q‖p) [nats per example]\nat the final β = {final:g}"
    low, high = (f"{end:g}" for end in (min(betas), max(betas)))
    return f"{label}; in training β from {low} to {high}", [_recomputed(row, final) for row in history]


def _recomputed(row: Mapping[str, float], beta: float) -> dict[str, float]:
    """The epoch, and the losses at this β as far as the row has their terms; without a KL it counts as 0."""
    parts = [part for part in ("train", "val") if f"{part}/log_likelihood" in row]
    losses = {f"{part}/loss": beta * row.get(f"{part}/kl", 0.0) - row[f"{part}/log_likelihood"] for part in parts}
    return {"epoch": row["epoch"], **losses}


@styled
def means(panels: Mapping[str, Mapping[str, Mapping[str, Point]]], styles: Mapping[str, Style], label: str) -> Figure:
    """Means with their spread, a line for each series of a group; each panel has its own horizontal axis.

    Args:
        panels: title → group → series → point; a series may be absent from a group.
        styles: of every series, in the order of the lines.
        label: of the horizontal axis, with its unit.
    """
    counts = [sum(1 + len(points) for points in groups.values()) for groups in panels.values()]
    step = min(LINE, TALLEST / sum(counts))
    heights = [0.9 + step * count for count in counts]
    names = [wrapped(group, LABEL) for groups in panels.values() for group in groups]
    beside = LETTER * max(len(line) for name in names for line in name.splitlines())
    figure, grid = axes_grid(
        *(len(panels), 1, (4.5 + beside, sum(heights) / len(heights))),
        margin=(_legend_width(styles), 0.3),
        height_ratios=heights,
    )
    for axes, (title, groups) in zip(grid.flat, panels.items(), strict=True):
        _panel_of_means(axes, groups, styles)
        axes.set_title(title)
    grid[-1, 0].set_xlabel(label)
    _legend(figure, grid.flat)
    return figure


def _panel_of_means(axes: Any, groups: Mapping[str, Mapping[str, Point]], styles: Mapping[str, Style]) -> None:
    """Groups under one another, with the room of a line between them."""
    ticks, lines = [], 0
    found: dict[str, list[tuple[int, float, float]]] = {}
    for points in groups.values():
        present = [name for name in styles if name in points]
        for number, name in enumerate(present, lines):
            found.setdefault(name, []).append((number, *points[name]))
        ticks.append(lines + (len(present) - 1) / 2)
        lines += len(present) + 1
    for name in (name for name in styles if name in found):
        numbers, centres, spreads = np.array(found[name], dtype=float).T
        drawn = {"color": styles[name].colour, "marker": styles[name].marker, "linestyle": "none", "capsize": 2}
        axes.errorbar(centres, numbers, xerr=np.nan_to_num(spreads), label=name, **drawn)
    axes.set_yticks(ticks, [wrapped(group, LABEL) for group in groups])
    axes.set_ylim(lines - 1, -1)
    axes.grid(axis="x", color=PALE, linewidth=0.5)
    axes.set_axisbelow(True)


@styled
def curves(
    panels: Mapping[str, Mapping[str, Mapping[float, Point]]], styles: Mapping[str, Style], labels: tuple[str, str]
) -> Figure:
    """Curves with their spread over a common quantity.

    Args:
        panels: title → series → x → point.
        styles: of every series.
        labels: of the two axes, with their units.
    """
    figure, grid = axes_grid(len(panels), 3, (PANEL, 3.3), (_legend_width(styles), 0.0))
    for axes, (title, series) in zip(grid.flat, panels.items(), strict=False):
        for name, points in series.items():
            style, x = styles[name], np.array(sorted(points))
            mean, spread = np.array([points[value] for value in x], dtype=float).T
            drawn = {"color": style.colour, "marker": style.marker, "linestyle": style.line}
            axes.errorbar(x, mean, np.nan_to_num(spread), label=name, capsize=3, **drawn)
        places = [x for points in series.values() for x in points]
        if is_wide(min(places), max(places)):
            axes.set_xscale("log")
        axes.set(title=wrapped(title, PANEL), xlabel=labels[0], ylabel=labels[1])
    _legend(figure, grid.flat)
    return figure


def _legend(figure: Figure, grid: Iterable[Any]) -> None:
    """Put the names of all series beside the panels."""
    handles, names = legend_entries(grid)
    figure.legend(handles, [wrapped(name, LEGEND) for name in names], loc="outside right upper")


def _legend_width(names: Iterable[str]) -> float:
    """Inches beside the panels for a legend of these names."""
    return 0.8 + min(LEGEND, LETTER * max(map(len, names)))
