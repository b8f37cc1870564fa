"""Figures of the values of examples: under each noise, and in the tails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vae_hydra.distributions.tails import HILL_SHARE, hill_statistic, radius, tail_shapes
from vae_hydra.drawing import plots
from vae_hydra.drawing.panels.subject import DoesNotApply, Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Test examples in the histograms; test examples, and as many generated ones, in the tails.
EXAMPLES, GENERATED = 1000, 20_000
# Estimates of a tail use this many values at least, and a tenth of the sample at most; the points of their curve.
LEAST_COUNT, COUNTS = 10, 100
ESTIMATORS = {"hill": "Hill", "pickands": "Pickands", "moment": "moment (Dekkers, Einmahl, de Haan)"}


def noise_pixels(subject: Subject) -> Figure:
    """Values of clean test examples, and under each noise that the run is tested on."""
    module = subject.module
    noises = list(module.test_noises)
    if not noises:
        raise DoesNotApply("this run is tested on no noise")
    x = module.take(subject.examples(EXAMPLES)).x
    panels = {}
    for noise in noises:
        noisy = noise(x)
        # Stacked noise leaves the image unchanged and adds channels: show those.
        visible = noisy if noisy.shape == x.shape else noisy[:, x.shape[1] :]
        training = ", trained with" if noise.name == module.noise.name else ""
        panels[f"{noise.name}{training}"] = {"clean": x, "noise" if noise.mode == "stacked" else "noisy": visible}
    return plots.value_histograms(panels, "pixel value" if subject.are_images else "value of a coordinate")


def tails(subject: Subject) -> Figure:
    """Share of test vectors, and of generated ones, further than t from the median of the test data, log–log.

    Generated vectors are draws from p(x|z) at draws of the prior. Values are those before dataset.transform.
    """
    radii = _radii(subject)
    named = {f"{name}, Hill statistic {hill_statistic(values):.2f}": values for name, values in radii.items()}
    title = f"Hill statistics are of the largest {HILL_SHARE:.0%}"
    return plots.survival_curves(named, "t: distance from the median of the test data", title)


def tail_index(subject: Subject) -> Figure:
    """Three estimates of the shape ξ of the tail of that distance, over the number of largest values behind them.

    The true ξ, where the data know it, is that of the column with the heaviest tail.
    """
    radii = _radii(subject)
    most = min(len(values) for values in radii.values()) // 10
    if most < LEAST_COUNT:
        raise DoesNotApply(f"it needs at least {10 * LEAST_COUNT} test examples")
    counts = torch.from_numpy(np.unique(np.geomspace(LEAST_COUNT, most, COUNTS).round().astype(int)))
    estimates = {name: tail_shapes(values, counts) for name, values in radii.items()}
    panels = {title: {name: shapes[key] for name, shapes in estimates.items()} for key, title in ESTIMATORS.items()}
    truth = subject.data.truth
    known = None if truth is None else 1 / min(truth.tail_index)
    return plots.tail_index_curves(counts, panels, known, "tail of the distance from the median of the test data")


def _radii(subject: Subject) -> dict[str, Tensor]:
    """Distances from the median of the test data, of test vectors and of as many generated ones, as far as finite."""
    if subject.are_images:
        raise DoesNotApply("it needs vectors, the examples of this run are images")
    data, examples = subject.data, subject.examples(GENERATED)
    vae = subject.module.vae
    labels = examples.y.to(subject.module.device)
    generated = data.restore(vae.decode(vae.prior_sample(len(labels)), labels).sample()).float().cpu()
    real = data.restore(examples.x)
    centre = real.median(0).values
    distances = {"test data": radius(real, centre), "generated": radius(generated, centre)}
    return {name: values[torch.isfinite(values)] for name, values in distances.items()}
