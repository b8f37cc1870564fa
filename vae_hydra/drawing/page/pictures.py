"""What is explored as pictures: pixels for images, matplotlib's figures for points and densities."""

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
from vae_hydra.drawing.plots.charts import COLOURS, MARKERS

# A panel of densities holds the prior between the first two quantiles, the posterior between the others.
PRIOR_SHOWN, POSTERIOR_SHOWN = (0.02, 0.98), (0.001, 0.999)
PANELS_A_ROW = 5
# Points of a curve.
RESOLUTION = 400


def pixels(images: Any, limits: Limits | None = None) -> Array:
    """Images [..., C, H, W] as bytes [..., H, W, 3]; ``limits`` are black and white, None their own extremes."""
    values = to_array(images)
    low, high = limits or (float(values.min()), float(values.max()))
    scaled = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
    channels_last = np.moveaxis(scaled, -3, -1)
    coloured = channels_last if channels_last.shape[-1] == 3 else channels_last[..., :1].repeat(3, -1)
    return np.rint(255 * coloured).astype(np.uint8)


def mosaic(images: Any, limits: Limits) -> Array:
    """Rows of images [R, K, C, H, W] as one, bytes [R·(H + 1), K·(W + 1), 3], a white line after each."""
    tiles = np.pad(pixels(images, limits), ((0, 0), (0, 0), (0, 1), (0, 1), (0, 0)), constant_values=255)
    rows, columns, height, width, _ = tiles.shape
    return tiles.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, 3)


def rgba(image: Array) -> Array:
    """Bytes [H, W, 3] as Bokeh wants them: [H, W] of four bytes each, the lowest row first."""
    opaque = np.concatenate([image, np.full_like(image[..., :1], 255)], axis=-1)
    return np.ascontiguousarray(opaque[::-1]).view(np.uint32)[..., 0]


def densities(
    posteriors: Mapping[str, Distribution], prior: Distribution, code: Tensor, names: dict[int, str]
) -> Figure:
    """Densities of posteriors over that of the prior, each to a height of its own, for the latents that are named.

    Args:
        posteriors: title → distribution of batch_shape [L].
        prior: of one latent.
        code: [L], marked.
        names: latent → the title of its panel.
    """
    rows = -(-len(names) // PANELS_A_ROW)
    figure = Figure(figsize=(9.4, 2.1 * rows + 0.3), layout="constrained")
    grid = figure.subplots(rows, PANELS_A_ROW, squeeze=False)
    for axes in grid.flat[len(names) :]:
        axes.axis("off")
    ends = {title: _ends(q, code) for title, q in posteriors.items()}
    whole = latents_at(prior, torch.tensor(PRIOR_SHOWN))
    for axes, (latent, name) in zip(grid.flat, names.items(), strict=False):
        z = _between(torch.cat([whole, *(own[latent] for own in ends.values())]))
        axes.fill_between(z.cpu(), _height(prior, z), color="#dddddd", label="prior p(z)")
        for number, (title, q) in enumerate(posteriors.items()):
            # Over its own range: it may be far narrower than the prior. A column for each latent of q.
            z = _between(ends[title][latent])
            height = _height(q, z.unsqueeze(1).expand(-1, len(code)))[:, latent]
            axes.plot(z.cpu(), height, color=COLOURS[number], label=title)
        axes.axvline(code[latent].item(), color="#333333", linestyle=":", linewidth=1, label="code")
        _tidy(axes, name)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    return figure


def _ends(q: Distribution, code: Tensor) -> Tensor:
    """From where to where each latent of a posterior is shown, [L, 2]."""
    return torch.stack([quantile(q, torch.full_like(code, probability)) for probability in POSTERIOR_SHOWN], dim=1)


def _between(values: Tensor) -> Tensor:
    """Points from the least to the greatest of the values."""
    return torch.linspace(values.min().item(), values.max().item(), RESOLUTION).to(values)


def _height(distribution: Distribution, z: Tensor) -> Array:
    """The density at z [N, ...], as a share of its greatest value over N."""
    log_density = distribution.log_prob(z).double().nan_to_num(nan=-torch.inf)
    return (log_density - log_density.amax(0)).exp().cpu().numpy()


def _tidy(axes: Any, title: str) -> None:
    axes.set_title(title, fontsize=9, pad=3)
    axes.set(yticks=[], ylim=(0, 1.08))
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.margins(x=0.03)


def points(cloud: Any, series: Mapping[str, Any], net: Any = None, side: float = 6.0) -> Figure:
    """Points over a grey cloud [N, D], of D > 2 coordinates the first two.

    Points of a line (D = 1) are shown at a height of their own, those of the cloud at 0.

    Args:
        cloud: the test examples.
        series: title → points [K, D], joined in their order.
        net: rows of points [R, K, D], joined along both axes.
        side: of the figure [inches].
    """
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    cloud = to_array(cloud)
    axes.scatter(*_coordinates(cloud, 0), s=5, color="#bbbbbb", linewidths=0, label="test examples")
    if net is not None:
        lines = to_array(net)
        for line in [*lines, *lines.swapaxes(0, 1)]:
            axes.plot(*_coordinates(line, 1), color=COLOURS[5], linewidth=0.7)
    for number, (title, values) in enumerate(series.items()):
        x, y = _coordinates(to_array(values), number + 1)
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        # Those on top smaller, so that none is hidden.
        size = max(5, 12 - 3 * number) if len(x) == 1 else 5
        axes.plot(x, y, color=colour, marker=marker, markersize=size, markeredgecolor="white", label=title)
    _frame(axes, cloud, [to_array(values) for values in series.values()])
    figure.legend(loc="outside upper center", ncols=2 if side < 4 else 5, frameon=False, fontsize=8)
    return figure


def _coordinates(values: Array, height: float) -> tuple[Array, Array]:
    return values[:, 0], values[:, 1] if values.shape[1] > 1 else np.full(len(values), height)


def _frame(axes: Any, cloud: Array, series: Sequence[Array]) -> None:
    """Hold all points shown, and 99 % of the cloud."""
    is_plane = cloud.shape[1] > 1
    kept = np.concatenate([np.quantile(cloud, [0.005, 0.995], axis=0), *series])
    low, high = kept.min(0), kept.max(0)
    margin = 0.05 * (high - low) + 1e-6
    axes.set(xlim=(low[0] - margin[0], high[0] + margin[0]), xlabel="x₁" if is_plane else "x")
    if is_plane:
        axes.set(ylim=(low[1] - margin[1], high[1] + margin[1]), ylabel="x₂")
    else:
        axes.set(yticks=[])
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def rows_of_images(rows: Any, limits: Limits, names: Sequence[str], columns: Sequence[str]) -> Figure:
    """Rows of images [R, K, C, H, W] without gaps, each row and each column with its name."""
    tiles = mosaic(rows, limits)
    (down, across), (height, width) = rows.shape[:2], tiles.shape[:2]
    figure = Figure(figsize=(8.6, 8.6 * height / width + 0.6), layout="constrained")
    axes = figure.subplots()
    axes.imshow(tiles)
    axes.set_xticks((np.arange(across) + 0.5) * width / across - 0.5, columns, fontsize=8)
    axes.set_yticks((np.arange(down) + 0.5) * height / down - 0.5, names, fontsize=9)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    return figure
