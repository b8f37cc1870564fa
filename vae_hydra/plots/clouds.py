"""Points: side by side, as histograms of a line, and as codes in a plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vae_hydra.plots.arrays import Array, to_array

# More panels than this go into further rows.
PANELS_A_ROW = 5


def scatter_panels(panels: Mapping[str, Any]) -> Figure:
    """Point clouds [N, D] side by side on shared axes, their first two coordinates.

    The axes hold the first panel and 99 % of the points of the others.
    """
    columns = min(len(panels), PANELS_A_ROW)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4 * columns, 4 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes, (title, points) in zip(grid.flat, panels.items(), strict=False):
        axes.scatter(*_plane(points).T, s=4, alpha=0.4, linewidths=0)
        axes.set(title=title, xlabel="x₁", ylabel="x₂")
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    low, high = _plane_limits(list(panels.values()))
    grid[0, 0].set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    return figure


def histograms(panels: Mapping[str, Any], bins: int = 80) -> Figure:
    """Samples [N, 1] of the line as outlines over one another, counted on a logarithmic axis that shows their tails.

    The axis holds the first sample and 99 % of the others.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    low, high = _plane_limits(list(panels.values()))
    for title, points in panels.items():
        values = to_array(points)[:, 0]
        axes.hist(values, bins=bins, range=(low[0], high[0]), histtype="step", label=title, log=True)
    axes.set(xlabel="x", ylabel="count")
    axes.legend(frameon=False)
    return figure


def latent_plane(codes: Any, y: Any) -> Figure:
    """Codes [N, L], L ≥ 2, coloured by class [N]: both latents, or the first two principal components of more.

    The axes hold the middle 99 % of the codes.
    """
    codes, y = to_array(codes), to_array(y)
    plane, names = (codes, ("z₁", "z₂")) if codes.shape[1] == 2 else (_principal(codes), ("component 1", "component 2"))
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    classes = int(y.max()) + 1
    colours, top_class = ("tab10", 9) if classes <= 10 else ("turbo", classes - 1)
    x1, x2 = plane.T
    size = min(20, max(4, 10_000 / len(plane)))
    dots = axes.scatter(x1, x2, size, y, alpha=0.6, linewidths=0, cmap=colours, vmin=-0.5, vmax=top_class + 0.5)
    axes.set(xlabel=names[0], ylabel=names[1])
    ends = np.quantile(plane, [0.005, 0.995], axis=0)
    margin = 0.05 * (ends[1] - ends[0]) + 1e-6
    (left, bottom), (right, top) = (ends[0] - margin).tolist(), (ends[1] + margin).tolist()
    axes.set(xlim=(left, right), ylim=(bottom, top))
    bar = figure.colorbar(dots, ax=axes, ticks=range(classes), label="class")
    bar.ax.set_ylim(-0.5, classes - 0.5)
    return figure


def _principal(codes: Array) -> Array:
    centred = codes - codes.mean(0)
    return centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T


def _plane_limits(clouds: Sequence[Any]) -> tuple[list[float], list[float]]:
    planes = [_plane(cloud) for cloud in clouds]
    kept = np.concatenate([planes[0], *(np.quantile(plane, [0.005, 0.995], axis=0) for plane in planes[1:])])
    low, high = kept.min(0), kept.max(0)
    margin = 0.05 * (high - low) + 1e-6
    return (low - margin).tolist(), (high + margin).tolist()


def _plane(points: Any) -> Array:
    points = to_array(points)
    return points[:, :2] if points.shape[1] > 1 else np.concatenate([points, np.zeros_like(points)], axis=1)
