"""Pictures of the page: pixels of images, and matplotlib figures of points and densities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.distributions import Distribution

from vae_hydra.distributions import quantile
from vae_hydra.drawing.page.sliders import latents_at
from vae_hydra.drawing.plots.arrays import Array, Limits, to_array
from vae_hydra.drawing.plots.axes import axes_grid, hide_frame, hide_heights, legend_entries, single_axes, styled
from vae_hydra.drawing.plots.series import COLOURS, MARKERS

# A panel of densities shows the prior between the first two quantiles, the posterior between the others.
PRIOR_SHOWN, POSTERIOR_SHOWN = (0.02, 0.98), (0.001, 0.999)
PANELS_A_ROW = 5
# Points of a curve.
RESOLUTION = 400


def pixels(images: Any, limits: Limits | None = None) -> Array:
    """Images [..., C, H, W] as bytes [..., H, W, 3]; ``limits`` are black and white, None for their own extremes."""
    values = to_array(images)
    low, high = limits or (float(values.min()), float(values.max()))
    scaled = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
    channels_last = np.moveaxis(scaled, -3, -1)
    coloured = channels_last if channels_last.shape[-1] == 3 else channels_last[..., :1].repeat(3, -1)
    return np.rint(255 * coloured).astype(np.uint8)


def mosaic(images: Any, limits: Limits) -> Array:
    """Rows of images [R, K, C, H, W] as one image, bytes [R·(H + 1), K·(W + 1), 3], with a white line after each."""
    tiles = np.pad(pixels(images, limits), ((0, 0), (0, 0), (0, 1), (0, 1), (0, 0)), constant_values=255)
    rows, columns, height, width, _ = tiles.shape
    return tiles.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, 3)


def rgba(image: Array) -> Array:
    """Bytes [H, W, 3] in Bokeh's format: [H, W] of four bytes each, the lowest row first."""
    opaque = np.concatenate([image, np.full_like(image[..., :1], 255)], axis=-1)
    return np.ascontiguousarray(opaque[::-1]).view(np.uint32)[..., 0]


@styled
def densities(
    posteriors: Mapping[str, Distribution], prior: Distribution, code: Tensor, names: dict[int, str]
) -> Figure:
    """Densities of posteriors and of the prior, each scaled to the same height: a panel for each named latent.

    Args:
        posteriors: title → distribution of batch_shape [L].
        prior: of each latent, of batch_shape [L].
        code: the code [L], marked by a line.
        names: latent → the title of its panel.
    """
    figure, grid = axes_grid(len(names), PANELS_A_ROW, (1.88, 2.1), (0.0, 0.3), least_width=9.4)
    ends = {title: _ends(q, code) for title, q in posteriors.items()}
    prior_ends = latents_at(prior, torch.tensor(PRIOR_SHOWN)[:, None])
    for axes, (latent, name) in zip(grid.flat, names.items(), strict=False):
        z = _between(torch.cat([prior_ends[:, latent], *(limits[latent] for limits in ends.values())]))
        axes.fill_between(z.cpu(), _heights(prior, z, len(code))[:, latent], color="#dddddd", label="prior p(z)")
        for number, (title, q) in enumerate(posteriors.items()):
            # Over its own range, which may be far narrower than the prior's.
            z = _between(ends[title][latent])
            axes.plot(z.cpu(), _heights(q, z, len(code))[:, latent], color=COLOURS[number], label=title)
        axes.axvline(code[latent].item(), color="#333333", linestyle=":", linewidth=1, label="code")
        axes.set(title=name, ylim=(0, 1.08))
        axes.margins(x=0.03)
        hide_heights(axes)
    figure.legend(*legend_entries(grid.flat), loc="outside upper center", ncols=4)
    return figure


def _ends(q: Distribution, code: Tensor) -> Tensor:
    """Ends of the shown range of each latent of a posterior, [L, 2]."""
    return torch.stack([quantile(q, torch.full_like(code, probability)) for probability in POSTERIOR_SHOWN], dim=1)


def _between(values: Tensor) -> Tensor:
    """Equally spaced points from the least to the greatest of the values."""
    return torch.linspace(values.min().item(), values.max().item(), RESOLUTION).to(values)


def _heights(distribution: Distribution, z: Tensor, latents: int) -> Array:
    """The densities of L latents at z [N], each relative to its greatest value there: [N, L]."""
    log_density = distribution.log_prob(z.unsqueeze(1).expand(-1, latents)).double().nan_to_num(nan=-torch.inf)
    return (log_density - log_density.amax(0)).exp().cpu().numpy()


@styled
def points(cloud: Any, series: Mapping[str, Any], net: Any = None, side: float = 6.0) -> Figure:
    """Points over a grey cloud [N, D]; for D > 2 the first two coordinates.

    For D = 1 the cloud lies at height 0, and each series at a height of its own.

    Args:
        cloud: the test examples.
        series: title → points [K, D], joined in their order.
        net: rows of points [R, K, D], joined along both axes.
        side: of the figure [inches].
    """
    figure, axes = single_axes(side, side)
    cloud = to_array(cloud)
    axes.scatter(*_coordinates(cloud, 0), s=5, color="#bbbbbb", linewidths=0, label="test examples")
    if net is not None:
        lines = to_array(net)
        for line in [*lines, *lines.swapaxes(0, 1)]:
            axes.plot(*_coordinates(line, 1), color=COLOURS[5], linewidth=0.7)
    for number, (title, values) in enumerate(series.items()):
        x, y = _coordinates(to_array(values), number + 1)
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        # Later markers are smaller, so that they do not hide earlier ones.
        size = max(5, 12 - 3 * number) if len(x) == 1 else 5
        axes.plot(x, y, color=colour, marker=marker, markersize=size, markeredgecolor="white", label=title)
    _frame(axes, cloud, [to_array(values) for values in series.values()])
    figure.legend(loc="outside upper center", ncols=2 if side < 4 else 5)
    return figure


def _coordinates(values: Array, height: float) -> tuple[Array, Array]:
    return values[:, 0], values[:, 1] if values.shape[1] > 1 else np.full(len(values), height)


def _frame(axes: Any, cloud: Array, series: Sequence[Array]) -> None:
    """Set limits that hold all series, and 99 % of the cloud."""
    is_plane = cloud.shape[1] > 1
    kept = np.concatenate([np.quantile(cloud, [0.005, 0.995], axis=0), *series])
    low, high = kept.min(0), kept.max(0)
    margin = 0.05 * (high - low) + 1e-6
    axes.set(xlim=(low[0] - margin[0], high[0] + margin[0]), xlabel="x₁" if is_plane else "x")
    if is_plane:
        axes.set(ylim=(low[1] - margin[1], high[1] + margin[1]), ylabel="x₂")
    else:
        axes.set(yticks=[])


@styled
def rows_of_images(rows: Any, limits: Limits, names: Sequence[str], columns: Sequence[str]) -> Figure:
    """Rows of images [R, K, C, H, W] with R names of rows and K names of columns."""
    tiles = mosaic(rows, limits)
    (down, across), (height, width) = rows.shape[:2], tiles.shape[:2]
    figure, axes = single_axes(8.6, 8.6 * height / width + 0.6)
    axes.imshow(tiles)
    axes.set_xticks((np.arange(across) + 0.5) * width / across - 0.5, columns)
    axes.set_yticks((np.arange(down) + 0.5) * height / down - 0.5, names)
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False)
    hide_frame(axes)
    return figure
