"""Tensors → matplotlib figures. Nothing here opens a window or keeps a global figure."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

Limits = tuple[float, float]


def loss_curves(history: Sequence[Mapping[str, float]]) -> Figure:
    """Loss, log-likelihood and KL over the epochs, training and validation in one panel each.

    Args:
        history: a mapping per epoch with ``epoch`` and any of ``train/…`` and ``val/…``.
    """
    panels = {
        "loss": "loss [nats per example]",
        "log_likelihood": "log p(x|z) [nats per example]",
        "kl": "KL(q‖p) [nats per example]",
    }
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    for axes, (name, label) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for part, title in (("train", "training"), ("val", "validation")):
            points = [(row["epoch"], row[f"{part}/{name}"]) for row in history if f"{part}/{name}" in row]
            if points:
                axes.plot(*zip(*points, strict=True), label=title)
        axes.set(xlabel="epoch", ylabel=label)
        if axes.lines:
            axes.legend(frameon=False)
    return figure


def image_rows(rows: Mapping[str, Tensor], limits: Limits, own_limits: Collection[str] = ()) -> Figure:
    """Rows of images under one another, e.g. originals over their reconstructions.

    Args:
        rows: title → images [N, C, H, W], the same N in each row.
        limits: values shown as black and white; what lies outside is clipped.
        own_limits: titles of rows that are shown by their own least and greatest value instead.
    """
    count = len(next(iter(rows.values())))
    figure = Figure(figsize=(0.9 * count + 1.3, 0.95 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), count, squeeze=False)
    for line, (title, images) in zip(grid, rows.items(), strict=True):
        own = (images.min().item(), images.max().item())
        for axes, image in zip(line, images, strict=True):
            _show(axes, image, own if title in own_limits else limits)
        line[0].set_ylabel(title, rotation=0, ha="right", va="center")
    return figure


def image_grid(images: Tensor, limits: Limits, labels: Tensor | None = None) -> Figure:
    """Images [N, C, H, W] in a grid as square as N allows, over each its label [N] unless that is None.

    ``limits`` as for ``image_rows``.
    """
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    figure = Figure(figsize=(0.8 * columns, (0.8 if labels is None else 1.0) * rows), layout="constrained")
    for number, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        if number < len(images):
            _show(axes, images[number], limits)
            if labels is not None:
                axes.set_title(str(labels[number].item()), fontsize=8, pad=2)
        else:
            axes.axis("off")
    return figure


def scatter_panels(panels: Mapping[str, Tensor]) -> Figure:
    """Point clouds [N, D] side by side on shared axes, their first two coordinates.

    The axes hold the first panel and 99 % of the points of the others.
    """
    figure = Figure(figsize=(4 * len(panels), 4), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False, sharex=True, sharey=True)[0]
    for axes, (title, points) in zip(grid, panels.items(), strict=True):
        plane = _plane(points)
        axes.scatter(*plane.T.numpy(), s=4, alpha=0.4, linewidths=0)
        axes.set(title=title, xlabel="x₁", ylabel="x₂")
    low, high = _plane_limits(list(panels.values()))
    grid[0].set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    return figure


def histograms(panels: Mapping[str, Tensor], bins: int = 80) -> Figure:
    """Samples [N, 1] of the line as outlines over one another, counted on a logarithmic axis that shows their tails.

    The axis holds the first sample and 99 % of the others.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    low, high = _plane_limits(list(panels.values()))
    for title, points in panels.items():
        values = points.detach().cpu()[:, 0].numpy()
        axes.hist(values, bins=bins, range=(low[0], high[0]), histtype="step", label=title, log=True)
    axes.set(xlabel="x", ylabel="count")
    axes.legend(frameon=False)
    return figure


def latent_plane(codes: Tensor, y: Tensor) -> Figure:
    """Codes [N, L], L ≥ 2, coloured by class [N]: both latents, or the first two principal components of more.

    The axes hold the middle 99 % of the codes.
    """
    codes, y = codes.detach().cpu().float(), y.cpu()
    plane, names = (codes, ("z₁", "z₂")) if codes.shape[1] == 2 else (_principal(codes), ("component 1", "component 2"))
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    classes = int(y.max()) + 1
    colours, top_class = ("tab10", 9) if classes <= 10 else ("turbo", classes - 1)
    x1, x2 = plane.T.numpy()
    size = min(20, max(4, 10_000 / len(plane)))
    dots = axes.scatter(x1, x2, size, y.numpy(), alpha=0.6, linewidths=0, cmap=colours, vmin=-0.5, vmax=top_class + 0.5)
    axes.set(xlabel=names[0], ylabel=names[1])
    ends = torch.quantile(plane, torch.tensor([0.005, 0.995]), dim=0)
    margin = 0.05 * (ends[1] - ends[0]) + 1e-6
    (left, bottom), (right, top) = (ends[0] - margin).tolist(), (ends[1] + margin).tolist()
    axes.set(xlim=(left, right), ylim=(bottom, top))
    bar = figure.colorbar(dots, ax=axes, ticks=range(classes), label="class")
    bar.ax.set_ylim(-0.5, classes - 0.5)
    return figure


def _principal(codes: Tensor) -> Tensor:
    centred = codes - codes.mean(0)
    return centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:2].T


def _plane_limits(clouds: Sequence[Tensor]) -> tuple[list[float], list[float]]:
    ends = torch.tensor([0.005, 0.995])
    kept = torch.cat([_plane(clouds[0]), *(torch.quantile(_plane(cloud), ends, dim=0) for cloud in clouds[1:])])
    low, high = kept.amin(0), kept.amax(0)
    margin = 0.05 * (high - low) + 1e-6
    return (low - margin).tolist(), (high + margin).tolist()


def _plane(points: Tensor) -> Tensor:
    points = points.detach().cpu().float()
    return points[:, :2] if points.shape[1] > 1 else torch.cat([points, torch.zeros_like(points)], dim=1)


def _show(axes: Any, image: Tensor, limits: Limits) -> None:
    low, high = limits
    unit = ((image.detach().cpu().float() - low) / max(high - low, 1e-6)).clamp(0, 1)
    # matplotlib takes H×W for grey and H×W×3 for colour.
    pixels = unit.permute(1, 2, 0) if len(unit) == 3 else unit[0]
    axes.imshow(pixels.numpy(), cmap="gray", vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
