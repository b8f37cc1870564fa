"""Points: side by side in planes, as histograms of a line, and as codes in a plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from vae_hydra.drawing.plots.arrays import Array, to_array
from vae_hydra.drawing.plots.axes import axes_grid, is_wide, single_axes
from vae_hydra.drawing.plots.bins import all_counted, note_ends
from vae_hydra.drawing.plots.names import latent_name
from vae_hydra.drawing.plots.style import CLASS_COLOURS, COLOURS, MANY_CLASSES, PAPER, styled

# More panels than this go into further rows.
PANELS_A_ROW = 5
PLANES = ("pca", "tsne")
_HALO = [withStroke(linewidth=3, foreground=PAPER)]


@styled
def scatter_panels(panels: Mapping[str, Any], names: Sequence[str] = ("x₁", "x₂")) -> Figure:
    """First two coordinates of point clouds [N, D] side by side on shared axes.

    The axes hold the first panel and 99 % of the points of the others; a title says which share lies beyond.

    Args:
        panels: title → points.
        names: names of the coordinates; the first two are shown.
    """
    figure, grid = axes_grid(len(panels), PANELS_A_ROW, (4, 4), sharex=True, sharey=True)
    low, high = _plane_limits(list(panels.values()))
    for axes, (title, points) in zip(grid.flat, panels.items(), strict=False):
        axes.scatter(*(plane := _plane(points)).T, s=4, alpha=0.4, linewidths=0)
        share = ((plane < low) | (plane > high)).any(1).mean()
        axes.set(title=f"{title} ({share:.1%} beyond)" if share else title, xlabel=names[0], ylabel=names[1])
    grid[0, 0].set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    return figure


@styled
def histograms(panels: Mapping[str, Any], bins: int = 80, name: str = "x") -> Figure:
    """Histograms of samples [N, 1] as outlines over one another; the counts are logarithmic, to show the tails.

    The axis holds the first sample and 99 % of the others; its end bins count the values beyond it.

    Args:
        panels: title → sample.
        bins: number of bins.
        name: name of the coordinate.
    """
    figure, axes = single_axes(7, 4)
    low, high = _plane_limits(list(panels.values()))
    edges = np.linspace(low[0], high[0], bins + 1)
    for number, (title, points) in enumerate(panels.items()):
        values = to_array(points)[:, 0]
        axes.stairs(all_counted(values, edges), edges, label=title, color=COLOURS[number % len(COLOURS)])
    note = note_ends((to_array(points)[:, 0] for points in panels.values()), low[0], high[0])
    axes.set(xlabel=f"{name}\n{note}".strip(), ylabel="count", yscale="log")
    axes.legend()
    return figure


def point_clouds(panels: Mapping[str, Any], names: Sequence[str] | None = None) -> Figure:
    """``histograms`` of samples of one coordinate, else ``scatter_panels``; ``names`` are those of the coordinates."""
    if next(iter(panels.values())).shape[1] == 1:
        return histograms(panels, name=names[0]) if names else histograms(panels)
    return scatter_panels(panels, names) if names else scatter_panels(panels)


@styled
def latent_plane(codes: Any, y: Any, plane: str = "pca", seed: int = 0) -> Figure:
    """Codes [N, L], L ≥ 2, coloured by class [N], with the name of a class at the median of its codes.

    Two latents are the axes themselves, logarithmic if both are positive and spread wide. The axes hold the middle
    99 % of the codes.

    Args:
        codes, y: the codes and their classes.
        plane: projection of more latents: ``pca``, the first two principal components, or ``tsne``, an embedding that
            only keeps neighbours together: distances between its clusters, and their sizes, mean nothing.
        seed: seed of the starting point of t-SNE.

    Source: van der Maaten and Hinton, "Visualizing data using t-SNE", 2008.
    """
    codes, y = to_array(codes), to_array(y)
    points, names = _in_a_plane(codes, plane, seed)
    figure, axes = single_axes(6, 5)
    classes = int(y.max()) + 1
    colours = ListedColormap(list(CLASS_COLOURS[:classes])) if classes <= len(CLASS_COLOURS) else MANY_CLASSES
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
    logarithmic = (points > 0).all() and all(is_wide(low, high) for low, high in ends.T)
    if logarithmic:
        axes.set(xscale="log", yscale="log")
        ends = np.log(ends)
    # Equal codes need some room too.
    margin = 0.05 * (ends[1] - ends[0]) + 1e-3 * np.abs(ends).max(0) + 1e-6
    limits = np.stack([ends[0] - margin, ends[1] + margin])
    (left, bottom), (right, top) = np.exp(limits) if logarithmic else limits
    axes.set(xlim=(left, right), ylim=(bottom, top))


def _in_a_plane(codes: Array, plane: str, seed: int) -> tuple[Array, tuple[str, str]]:
    """Points [N, 2] and the names of the two axes."""
    if codes.shape[1] == 2:
        return codes, (latent_name(0), latent_name(1))
    # Imported here: a report draws with this module, and scikit-learn takes half a second.
    if plane == "tsne":
        from sklearn.manifold import TSNE

        perplexity = min(30.0, (len(codes) - 1) / 3)
        return TSNE(perplexity=perplexity, random_state=seed).fit_transform(codes), ("t-SNE 1", "t-SNE 2")
    points, shares = _principal(codes)
    first, second = (f"component {i} ({share:.0%} of the variance)" for i, share in enumerate(shares, start=1))
    return points, (first, second)


def _principal(codes: Array) -> tuple[Array, Array]:
    """The first two principal components of codes [N, L], and their shares of the variance.

    A component points to where the latent with the greatest weight in it grows, so that the same codes are never drawn
    mirrored; releases of scikit-learn choose this sign differently.
    """
    # Imported here for the same reason.
    from sklearn.decomposition import PCA

    # Equal codes have no variance to share.
    with np.errstate(invalid="ignore"):
        pca = PCA(2, svd_solver="full").fit(codes)
    greatest = np.abs(pca.components_).argmax(1)
    signs = np.sign(pca.components_[[0, 1], greatest])
    return pca.transform(codes) * signs, np.nan_to_num(pca.explained_variance_ratio_)


def _plane_limits(clouds: Sequence[Any]) -> tuple[list[float], list[float]]:
    planes = [_plane(cloud) for cloud in clouds]
    kept = np.concatenate([planes[0], *(np.quantile(plane, [0.005, 0.995], axis=0) for plane in planes[1:])])
    low, high = kept.min(0), kept.max(0)
    margin = 0.05 * (high - low) + 1e-6
    return (low - margin).tolist(), (high + margin).tolist()


def _plane(points: Any) -> Array:
    points = to_array(points)
    return points[:, :2] if points.shape[1] > 1 else np.concatenate([points, np.zeros_like(points)], axis=1)
