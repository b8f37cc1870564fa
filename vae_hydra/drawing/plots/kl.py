"""KL by latent, and over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vae_hydra.drawing.plots.axes import single_axes
from vae_hydra.drawing.plots.series import HATCHES, LINES, PARTS
from vae_hydra.drawing.plots.style import COLOURS, PALE, PAPER, styled

LABEL = "KL(q‖p) [nats per example]"
# More bars than this have their names turned.
UPRIGHT = 15
# Room for at least this many bars, so that a single one is not as wide as the figure.
LEAST = 5


@styled
def kl_bars(values: Sequence[float], names: Sequence[str], threshold: float) -> Figure:
    """KL of every latent, the largest first, on an axis that is logarithmic where some are below the threshold.

    Args:
        values: mean KL of L latents [nats per example].
        names: of the L latents.
        threshold: a latent with less is drawn grey and hatched [nats].
    """
    order = np.argsort(-np.asarray(values, dtype=float), kind="stable")
    heights = np.asarray(values, dtype=float)[order]
    reaches = heights >= threshold
    figure, axes = single_axes(min(11.0, max(6.5, 2.5 + 0.3 * len(heights))), 3.2)
    places = np.arange(len(heights))
    for these, label, colour, hatch in (
        (reaches, f"at least {threshold:g} nats", COLOURS[0], HATCHES[0]),
        (~reaches, f"less than {threshold:g} nats", PALE, HATCHES[1]),
    ):
        if these.any():
            axes.bar(places[these], heights[these], label=label, color=colour, hatch=hatch, edgecolor=PAPER)
    axes.axhline(threshold, color=COLOURS[3], linestyle="--", linewidth=1.2, label=f"{threshold:g} nats")
    if not reaches.all():
        axes.set(yscale="log", ylim=(threshold / 10, None))
    axes.set_xticks(places, [names[i] for i in order], rotation=90 if len(heights) > UPRIGHT else 0)
    total = f"{heights.sum():.3g} nats together"
    axes.set_title(f"{reaches.sum()} of {len(heights)} latents reach {threshold:g} nats; {total}")
    axes.set(xlabel="latent", ylabel=LABEL, xlim=(-0.7, max(len(heights), LEAST) - 0.3))
    figure.legend(loc="outside right upper")
    return figure


@styled
def kl_over_time(history: Sequence[Mapping[str, float]]) -> Figure:
    """KL of training and validation over the epochs, and its weight β on a second axis.

    Args:
        history: a mapping per epoch with ``epoch`` and any of ``train/kl``, ``val/kl`` and ``train/beta``.
    """
    figure, axes = single_axes(6, 3.4)
    weight = axes.twinx()
    weight.spines.right.set_visible(True)
    series: tuple[tuple[Axes, str, str, dict[str, Any]], ...] = (
        (axes, "train/kl", "training", PARTS["training"]),
        (axes, "val/kl", "validation", PARTS["validation"]),
        (weight, "train/beta", "β", {"color": COLOURS[7], "linestyle": LINES[3]}),
    )
    lines = []
    for place, key, label, line in series:
        points = [(row["epoch"], row[key]) for row in history if key in row]
        if points:
            lines += place.plot(*zip(*points, strict=True), label=label, **line)
    axes.set(xlabel="epoch", ylabel=LABEL)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    greatest = max((row["train/beta"] for row in history if "train/beta" in row), default=1.0)
    weight.set(ylabel="β at the end of the epoch", ylim=(0, 1.08 * greatest or 1))
    axes.legend(lines, [str(line.get_label()) for line in lines])
    return figure
