"""Numbers as charts: curves over the epochs, bars and curves of several samplers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vae_hydra.drawing.plots.axes import axes_grid, is_wide, legend_entries
from vae_hydra.drawing.plots.series import PARTS, Style
from vae_hydra.drawing.plots.style import INK, PAPER, styled


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
def bars(panels: Mapping[str, Mapping[str, Mapping[str, Point]]], styles: Mapping[str, Style], label: str) -> Figure:
    """Groups of bars with their spread; each panel has its own vertical axis.

    Args:
        panels: title → group → series → point; a series may be absent from a group.
        styles: of every series, in the order of the bars.
        label: of the vertical axis, with its unit.
    """
    sizes = [max(1, len(groups)) for groups in panels.values()]
    widths = [max(2.6, 0.8 + size * (0.45 + 0.24 * len(styles))) for size in sizes]
    height = 3.6 + 0.12 * max(len(group) for groups in panels.values() for group in groups)
    panel = (sum(widths) / len(panels), min(height, 6.0))
    margin = (_legend_width(styles), 0.0)
    figure, grid = axes_grid(len(panels), len(panels), panel, margin, width_ratios=widths)
    for axes, (title, groups) in zip(grid.flat, panels.items(), strict=True):
        _bar_panel(axes, groups, styles)
        axes.set_title(title)
    grid[0, 0].set_ylabel(label)
    figure.legend(*legend_entries(grid.flat), loc="outside right upper")
    return figure


def _bar_panel(axes: Any, groups: Mapping[str, Mapping[str, Point]], styles: Mapping[str, Style]) -> None:
    present = [name for name in styles if any(name in points for points in groups.values())]
    width = 0.8 / len(present)
    for number, name in enumerate(present):
        style = styles[name]
        places = [i for i, points in enumerate(groups.values()) if name in points]
        x = np.array(places) + (number - (len(present) - 1) / 2) * width
        heights, spreads = np.array([points[name] for points in groups.values() if name in points], dtype=float).T
        axes.bar(x, heights, width, label=name, color=style.colour, hatch=style.hatch, edgecolor=PAPER, linewidth=0.5)
        known = np.isfinite(spreads)
        axes.errorbar(x[known], heights[known], spreads[known], fmt="none", ecolor=INK, elinewidth=1, capsize=2)
    turned = {"rotation": 30, "ha": "right"} if len(groups) > 1 else {"rotation": 0, "ha": "center"}
    axes.set_xticks(range(len(groups)), list(groups), **turned)
    axes.axhline(0, color=INK, linewidth=0.8)


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
    figure, grid = axes_grid(len(panels), 3, (4.2, 3.3), (_legend_width(styles), 0.0))
    for axes, (title, series) in zip(grid.flat, panels.items(), strict=False):
        for name, points in series.items():
            style, x = styles[name], np.array(sorted(points))
            mean, spread = np.array([points[value] for value in x], dtype=float).T
            drawn = {"color": style.colour, "marker": style.marker, "linestyle": style.line}
            axes.errorbar(x, mean, np.nan_to_num(spread), label=name, capsize=3, **drawn)
        places = [x for points in series.values() for x in points]
        if is_wide(min(places), max(places)):
            axes.set_xscale("log")
        axes.set(title=title, xlabel=labels[0], ylabel=labels[1])
    figure.legend(*legend_entries(grid.flat), loc="outside right upper")
    return figure


def _legend_width(names: Iterable[str]) -> float:
    """Inches beside the panels for a legend of these names."""
    return 0.8 + 0.09 * max(map(len, names))
