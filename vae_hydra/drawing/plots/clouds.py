"""Points: side by side, as histograms of a line, and as codes in a plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from vae_hydra.drawing.plots.arrays import Array, to_array
from vae_hydra.drawing.plots.charts import COLOURS, WIDE

# More panels than this go into further rows.
PANELS_A_ROW = 5
# Okabe and Ito's yellow and black with the charts' colours: ten classes.
CLASS_COLOURS = (*COLOURS, "#F0E442", "#000000")
PLANES = ("pca", "tsne")
_HALO = [withStroke(linewidth=3, foreground="white")]


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


def latent_plane(codes: Any, y: Any, plane: str = "pca", seed: int = 0) -> Figure:
    """Codes [N, L], L ≥ 2, coloured by class [N], with the name of a class at the median of its codes.

    Two latents are shown as they are, on logarithmic axes if they are positive and spread wide.
    The axes hold the middle 99 % of the codes.

    Args:
        codes, y: the codes and their classes.
        plane: of more latents the first two principal components (``pca``), or ``tsne``, an embedding that keeps
            neighbours together and nothing else: distances and sizes of its clusters mean nothing.
        seed: of where t-SNE starts.

    Source: van der Maaten and Hinton, "Visualizing data using t-SNE", 2008.
    """
    from matplotlib.colors import ListedColormap

    codes, y = to_array(codes), to_array(y)
    points, names = _in_a_plane(codes, plane, seed)
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    classes = int(y.max()) + 1
    colours = ListedColormap(CLASS_COLOURS[:classes]) if classes <= len(CLASS_COLOURS) else "turbo"
    size = min(20, max(4, 10_000 / len(points)))
    across, up = points.T
    dots = axes.scatter(across, up, size, y, alpha=0.7, linewidths=0, cmap=colours, vmin=-0.5, vmax=classes - 0.5)
    for label in np.unique(y):
        middle = np.median(points[y == label], axis=0)
        axes.annotate(f"{label:.0f}", middle, fontsize=12, weight="bold", ha="center", va="center", path_effects=_HALO)
    axes.set(xlabel=names[0], ylabel=names[1])
    _around_most(axes, points)
    figure.colorbar(dots, ax=axes, ticks=range(classes), label="class")
    return figure


def _around_most(axes: Any, points: Array) -> None:
    """Limits around the middle 99 % of points [N, 2]; logarithmic if both coordinates are positive and spread wide."""
    ends = np.quantile(points.astype(np.float64), [0.005, 0.995], axis=0)
    is_wide = (points > 0).all() and (ends[1] > WIDE * ends[0]).all()
    if is_wide:
        axes.set(xscale="log", yscale="log")
        ends = np.log(ends)
    # Codes that are all alike need some room too.
    margin = 0.05 * (ends[1] - ends[0]) + 1e-3 * np.abs(ends).max(0) + 1e-6
    limits = np.stack([ends[0] - margin, ends[1] + margin])
    (left, bottom), (right, top) = np.exp(limits) if is_wide else limits
    axes.set(xlim=(left, right), ylim=(bottom, top))


def _in_a_plane(codes: Array, plane: str, seed: int) -> tuple[Array, tuple[str, str]]:
    """Points [N, 2] and the names of the two axes."""
    if codes.shape[1] == 2:
        return codes, ("z₁", "z₂")
    if plane == "tsne":
        from sklearn.manifold import TSNE

        perplexity = min(30.0, (len(codes) - 1) / 3)
        # scikit-learn's own factorisation of few points is random but for its seed.
        return TSNE(perplexity=perplexity, random_state=seed).fit_transform(codes), ("t-SNE 1", "t-SNE 2")
    points, shares = _principal(codes)
    first, second = (f"component {i} ({share:.0%} of the variance)" for i, share in enumerate(shares, start=1))
    return points, (first, second)


def _principal(codes: Array) -> tuple[Array, Array]:
    """The first two principal components of codes [N, L], and their shares of the variance."""
    centred = codes - codes.mean(0)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    variances = sizes**2
    return centred @ directions[:2].T, variances[:2] / max(float(variances.sum()), 1e-30)


def _plane_limits(clouds: Sequence[Any]) -> tuple[list[float], list[float]]:
    planes = [_plane(cloud) for cloud in clouds]
    kept = np.concatenate([planes[0], *(np.quantile(plane, [0.005, 0.995], axis=0) for plane in planes[1:])])
    low, high = kept.min(0), kept.max(0)
    margin = 0.05 * (high - low) + 1e-6
    return (low - margin).tolist(), (high + margin).tolist()


def _plane(points: Any) -> Array:
    points = to_array(points)
    return points[:, :2] if points.shape[1] > 1 else np.concatenate([points, np.zeros_like(points)], axis=1)
