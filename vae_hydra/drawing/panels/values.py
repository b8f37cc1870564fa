"""Figures of the values of examples: under each noise, and in the tails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from vae_hydra.distributions.tails import HILL_SHARE, hill_statistic, radius
from vae_hydra.drawing import plots
from vae_hydra.drawing.panels.subject import DoesNotApply, Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Test examples in the histograms; test examples, and as many generated ones, in the tails.
EXAMPLES, GENERATED = 1000, 20_000


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
    if subject.are_images:
        raise DoesNotApply("it needs vectors, the examples of this run are images")
    data, examples = subject.data, subject.examples(GENERATED)
    vae = subject.module.vae
    labels = examples.y.to(subject.module.device)
    generated = data.restore(vae.decode(vae.prior_sample(len(labels)), labels).sample()).float().cpu()
    real = data.restore(examples.x)
    centre = real.median(0).values
    distances = {"test data": radius(real, centre), "generated": radius(generated, centre)}
    finite = {name: values[torch.isfinite(values)] for name, values in distances.items()}
    named = {f"{name}, Hill statistic {hill_statistic(values):.2f}": values for name, values in finite.items()}
    title = f"Hill statistics are of the largest {HILL_SHARE:.0%}"
    return plots.survival_curves(named, "t: distance from the median of the test data", title)
