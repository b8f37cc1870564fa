"""Pictures of the page: pixels of images, and matplotlib figures of points and densities."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor
from torch.distributions import Distribution

from vae_hydra.distributions import quantile
from vae_hydra.drawing.page.sliders import latents_at
from vae_hydra.drawing.plots.arrays import Array, Limits, to_array
from vae_hydra.drawing.plots.axes import single_axes
from vae_hydra.drawing.plots.series import MARKERS
from vae_hydra.drawing.plots.style import COLOURS, MARK, PALE, PAPER, styled

# A panel of densities shows the prior between the first two quantiles, the posterior between the others.
PRIOR_SHOWN, POSTERIOR_SHOWN = (0.02, 0.98), (0.001, 0.999)
# Points of a curve.
RESOLUTION = 200


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


class Curves(NamedTuple):
    """Densities of one latent, each scaled to the same height.

    Attributes:
        limits: of the axis.
        prior: points and heights of the prior's curve, [N] each.
        posteriors: the same of each posterior.
        code: of the example.
    """

    limits: Limits
    prior: tuple[Array, Array]
    posteriors: Sequence[tuple[Array, Array]]
    code: float


def densities(
    posteriors: Sequence[Distribution], prior: Distribution, code: Tensor, latents: Sequence[int]
) -> dict[int, Curves]:
    """Curves of posteriors and of the prior, by latent.

    Args:
        posteriors: distributions of batch_shape [L].
        prior: of each latent, of batch_shape [L].
        code: the code [L], which is in sight.
        latents: those that are shown.
    """
    ends = [_ends(q, code) for q in posteriors]
    prior_ends = latents_at(prior, torch.tensor(PRIOR_SHOWN)[:, None]).T
    own = [_along(limits) for limits in ends]
    everything = torch.cat([prior_ends, *ends, code[:, None].to(prior_ends)], dim=1)
    shared = _along(torch.stack([everything.amin(1), everything.amax(1)], dim=1))
    heights = [_heights(q, z) for q, z in zip([prior, *posteriors], [shared, *own], strict=True)]
    places = [z.cpu().numpy() for z in (shared, *own)]
    curves = {}
    for latent in latents:
        first, *others = ((z[:, latent], height[:, latent]) for z, height in zip(places, heights, strict=True))
        curves[latent] = Curves((float(first[0][0]), float(first[0][-1])), first, others, float(code[latent]))
    return curves


def _ends(q: Distribution, code: Tensor) -> Tensor:
    """Ends of the shown range of each latent of a posterior, [L, 2]."""
    return torch.stack([quantile(q, torch.full_like(code, probability)) for probability in POSTERIOR_SHOWN], dim=1)


def _along(ends: Tensor) -> Tensor:
    """Equally spaced points between the ends of each latent [L, 2], [RESOLUTION, L]."""
    return torch.lerp(ends[:, 0], ends[:, 1], torch.linspace(0, 1, RESOLUTION).to(ends)[:, None])


def _heights(distribution: Distribution, z: Tensor) -> Array:
    """The densities of L latents at z [N, L], each relative to its greatest value there: [N, L]."""
    log_density = distribution.log_prob(z).double().nan_to_num(nan=-torch.inf)
    return (log_density - log_density.amax(0)).exp().nan_to_num(nan=1.0).cpu().numpy()


@styled
def points(cloud: Any, series: Mapping[str, Any], net: Any = None, side: float = 6.0, here: Any = None) -> Figure:
    """Points over a grey cloud [N, D]; for D > 2 the first two coordinates.

    For D = 1 the cloud lies at height 0, and each series at a height of its own.

    Args:
        cloud: the test examples.
        series: title → points [K, D], joined in their order.
        net: rows of points [R, K, D], joined along both axes.
        side: of the figure [inches].
        here: the point in question [1, D], with a marker of its own.
    """
    figure, axes = single_axes(side, side)
    cloud = to_array(cloud)
    axes.scatter(*_coordinates(cloud, 0), s=5, color=PALE, linewidths=0, label="test examples")
    if net is not None:
        lines = to_array(net)
        for line in [*lines, *lines.swapaxes(0, 1)]:
            axes.plot(*_coordinates(line, 1), color=COLOURS[5], linewidth=0.7)
    for number, (title, values) in enumerate(series.items()):
        x, y = _coordinates(to_array(values), number + 1)
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        # Later markers are smaller, so that they do not hide earlier ones.
        size = max(5, 12 - 3 * number) if len(x) == 1 else 5
        axes.plot(x, y, color=colour, marker=marker, markersize=size, markeredgecolor=PAPER, label=title)
    if here is not None:
        place = _coordinates(to_array(here), 0)
        axes.plot(*place, color=MARK, marker="P", markersize=13, markeredgecolor=PAPER, linestyle="", label="the point")
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


def png(pixels: Array) -> bytes:
    """Bytes [H, W, 3] as a PNG file."""
    buffer = io.BytesIO()
    # Fast rather than small: it travels within this machine.
    Image.fromarray(pixels).save(buffer, "png", compress_level=1)
    return buffer.getvalue()


def drawing(figure: Figure) -> bytes:
    """A matplotlib figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()
