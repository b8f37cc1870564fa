"""Numbers as charts: curves over the epochs, bars and curves of several samplers, heat maps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vae_hydra.drawing.plots.arrays import to_array

# Okabe and Ito's colours, which the colour-blind can tell apart, and a brown and a grey.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8C6D31", "#777777")
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "ooo", "---", "++")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":")
# How training and validation are told apart in every panel.
PARTS: dict[str, dict[str, Any]] = {
    "training": {"color": COLOURS[0], "linestyle": LINES[0]},
    "validation": {"color": COLOURS[1], "linestyle": LINES[1]},
}
# A spread beyond this factor is shown on a logarithmic scale.
WIDE = 10.0


class Point(NamedTuple):
    """A mean with its spread, both in the units of what is drawn; ``spread`` is NaN for one replicate."""

    mean: float
    spread: float


class Style(NamedTuple):
    """How a series is drawn: in colour, and so that it is told apart without."""

    colour: str
    hatch: str
    marker: str
    line: str


def style(number: int, variant: int = 0) -> Style:
    """The style of the ``number``-th family, its variants in the same colour."""
    other = number + number // len(COLOURS) + 3 * variant
    return Style(
        COLOURS[number % len(COLOURS)],
        HATCHES[other % len(HATCHES)],
        MARKERS[other % len(MARKERS)],
        LINES[(number // len(COLOURS) + variant) % len(LINES)],
    )


def loss_curves(history: Sequence[Mapping[str, float]], ends: tuple[float, float] | None = None) -> Figure:
    """Loss, log-likelihood and KL over the epochs, training and validation in one panel each.

    Training is judged at the β of its epoch, validation at the final β. Where these differ the losses are two
    quantities: each has a panel of its own, which says its β.

    Args:
        history: a mapping per epoch with ``epoch`` and any of ``train/…`` and ``val/…``.
        ends: β before the first step, and the final one; None takes those of the first and the last epoch.
    """
    panels = [
        *_loss_panels(history, ends),
        ("log p(x|z) [nats per example]", {"train/log_likelihood": "training", "val/log_likelihood": "validation"}),
        ("KL(q‖p) [nats per example]", {"train/kl": "training", "val/kl": "validation"}),
    ]
    figure = Figure(figsize=(4 * len(panels), 3.4), layout="constrained")
    for axes, (label, series) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        for key, title in series.items():
            points = [(row["epoch"], row[key]) for row in history if key in row]
            if points:
                axes.plot(*zip(*points, strict=True), label=title, **PARTS[title])
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if axes.lines:
            axes.legend(frameon=False)
    return figure


def _loss_panels(
    history: Sequence[Mapping[str, float]], ends: tuple[float, float] | None
) -> list[tuple[str, dict[str, str]]]:
    """Label and series of each panel of losses: one if all have the same β, else one for each of them."""
    of_epochs = [row["train/beta"] for row in history if "train/beta" in row]
    every = [*of_epochs, *(ends or ())]
    training, validation = {"train/loss": "training"}, {"val/loss": "validation"}
    if not every:
        return [("loss [nats per example]", training | validation)]
    # metrics.csv has what float32 made of β.
    if np.allclose(every, every[-1], rtol=1e-6, atol=0):
        return [(f"loss at β = {every[-1]:g} [nats per example]", training | validation)]
    trained = [*(ends or ())[:1], *of_epochs] if of_epochs else every
    low, high = f"{min(trained):g}", f"{max(trained):g}"
    span = low if low == high else f"{low} to {high}"
    return [
        (f"training loss [nats per example]\nat the β of each epoch, {span}", training),
        (f"validation loss [nats per example]\nat the final β = {every[-1]:g}", validation),
    ]


def bars(panels: Mapping[str, Mapping[str, Mapping[str, Point]]], styles: Mapping[str, Style], label: str) -> Figure:
    """Groups of bars with their spread, a panel with its own axis for each of ``panels``.

    Args:
        panels: title → group → series → point; a series may be absent from a group.
        styles: of every series, in the order of the bars.
        label: of the vertical axis, with its unit.
    """
    sizes = [max(1, len(groups)) for groups in panels.values()]
    inches = [max(2.6, 0.8 + size * (0.45 + 0.24 * len(styles))) for size in sizes]
    height = 3.6 + 0.12 * max(len(group) for groups in panels.values() for group in groups)
    figure = Figure(figsize=(sum(inches) + _legend_width(styles), min(height, 6.0)), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False, width_ratios=inches)[0]
    for axes, (title, groups) in zip(grid, panels.items(), strict=True):
        _bar_panel(axes, groups, styles)
        axes.set_title(title, fontsize=10)
    grid[0].set_ylabel(label)
    handles, names = legend_entries(grid)
    figure.legend(handles, names, loc="outside right upper", frameon=False)
    return figure


def _bar_panel(axes: Any, groups: Mapping[str, Mapping[str, Point]], styles: Mapping[str, Style]) -> None:
    present = [name for name in styles if any(name in points for points in groups.values())]
    width = 0.8 / len(present)
    for number, name in enumerate(present):
        look = styles[name]
        places = [i for i, points in enumerate(groups.values()) if name in points]
        x = np.array(places) + (number - (len(present) - 1) / 2) * width
        heights, spreads = np.array([points[name] for points in groups.values() if name in points], dtype=float).T
        axes.bar(x, heights, width, label=name, color=look.colour, hatch=look.hatch, edgecolor="white", linewidth=0.5)
        known = np.isfinite(spreads)
        axes.errorbar(x[known], heights[known], spreads[known], fmt="none", ecolor="black", elinewidth=1, capsize=2)
    axes.set_xticks(range(len(groups)), list(groups), rotation=30 if len(groups) > 1 else 0, ha="right")
    if len(groups) == 1:
        for tick in axes.get_xticklabels():
            tick.set_ha("center")
    axes.spines[["top", "right"]].set_visible(False)
    axes.axhline(0, color="black", linewidth=0.8)


def curves(
    panels: Mapping[str, Mapping[str, Mapping[float, Point]]], styles: Mapping[str, Style], labels: tuple[str, str]
) -> Figure:
    """Curves with their spread over a common quantity, a panel for each of ``panels``.

    Args:
        panels: title → series → x → point.
        styles: of every series.
        labels: of the two axes, with their units.
    """
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.2 * columns + _legend_width(styles), 3.3 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, (title, series) in zip(grid.flat, panels.items(), strict=False):
        places = [x for points in series.values() for x in points]
        for name, points in series.items():
            look, x = styles[name], np.array(sorted(points))
            mean, spread = np.array([points[value] for value in x], dtype=float).T
            axes.errorbar(
                x,
                mean,
                np.nan_to_num(spread),
                label=name,
                color=look.colour,
                marker=look.marker,
                ls=look.line,
                capsize=3,
            )
        if min(places) > 0 and max(places) > WIDE * min(places):
            axes.set_xscale("log")
        axes.set_title(title, fontsize=10)
        axes.set(xlabel=labels[0], ylabel=labels[1])
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    handles, names = legend_entries(grid.flat)
    figure.legend(handles, names, loc="outside right upper", frameon=False)
    return figure


def heat_maps(
    maps: Mapping[str, Any], rows: Sequence[str], columns: Sequence[str], label: str, axis_titles: tuple[str, str]
) -> Figure:
    """Matrices [rows, columns] side by side on one colour scale, a number in each cell; NaN cells stay empty.

    The scale is logarithmic where the values are positive and spread over more than a factor of ten.

    Args:
        maps: title → matrix.
        rows, columns: names of both axes' places.
        label: of the colour scale, with its unit.
        axis_titles: what the rows are, and what the columns are.
    """
    arrays = {title: np.asarray(values, dtype=float) for title, values in maps.items()}
    every = np.concatenate([values[np.isfinite(values)] for values in arrays.values()])
    across = min(3, len(maps))
    down = -(-len(maps) // across)
    size = (across * (1.1 + 0.78 * len(columns)) + 1.6, down * (1.3 + 0.5 * len(rows)))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    norm = _scale(every)
    for axes, (title, values) in zip(grid.flat, arrays.items(), strict=False):
        picture = axes.imshow(values, norm=norm, cmap="cividis", aspect="auto")
        axes.set_xticks(range(len(columns)), columns, rotation=40, ha="right")
        axes.set_yticks(range(len(rows)), rows)
        axes.set_title(title, fontsize=10)
        for (i, j), value in np.ndenumerate(values):
            if np.isfinite(value):
                ink = "white" if norm(value) < 0.55 else "black"
                axes.text(j, i, f"{value:.3g}", ha="center", va="center", color=ink, fontsize=8)
    for axes in grid.flat[len(maps) :]:
        axes.axis("off")
    figure.supylabel(axis_titles[0], fontsize=10)
    figure.supxlabel(axis_titles[1], fontsize=10)
    figure.colorbar(picture, ax=grid, label=label)
    return figure


def correlation_matrix(matrix: Any, names: tuple[str, str]) -> Figure:
    """Correlations [L₁, L₂] of the latents of one model, down, with those of another, across; −1 blue, 1 red."""
    values = to_array(matrix)
    rows, columns = values.shape
    figure = Figure(figsize=(2.6 + 0.34 * min(columns, 40), 1.8 + 0.34 * min(rows, 40)), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1)
    if max(rows, columns) <= 12:
        for (i, j), value in np.ndenumerate(values):
            ink = "white" if abs(value) > 0.6 else "black"
            axes.text(j, i, f"{value:.2f}".replace("0.", "."), ha="center", va="center", color=ink, fontsize=6)
    axes.set_ylabel(f"latents of\n{names[0]}", fontsize=8)
    axes.set_xlabel(f"latents of\n{names[1]}", fontsize=8)
    figure.colorbar(picture, ax=axes, label="Spearman's correlation of the codes", shrink=0.8)
    return figure


def _scale(values: Any) -> Normalize:
    low, high = float(values.min()), float(values.max())
    return LogNorm(low, high) if low > 0 and high > WIDE * low else Normalize(low, high)


def _legend_width(names: Iterable[str]) -> float:
    """Inches beside the panels, so that long names do not take them from those."""
    return 0.8 + 0.09 * max(map(len, names))


def legend_entries(grid: Any) -> tuple[list[Any], list[str]]:
    """Every series once, in the order in which panels first have them."""
    entries = {name: handle for axes in grid for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    return list(entries.values()), list(entries)
