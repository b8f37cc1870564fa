"""Figures of examples: reconstructed, denoised, generated, and generated epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from vae_hydra.base.files import write_arrays
from vae_hydra.drawing import plots
from vae_hydra.drawing.panels.subject import POINTS, DoesNotApply, Subject, evaluating

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Samples of an epoch, in figures/epoch_NNNN/, and of the end of training, in figures/.
SAMPLES = "samples.npz"


def reconstructions(subject: Subject) -> Figure:
    """Test examples and their reconstructions; for vectors also decoded samples of the prior."""
    shown = subject.shown
    rows = {"original": shown.original, "reconstruction": shown.reconstruction}
    if subject.are_images:
        return plots.image_rows(rows, subject.limits)
    samples = subject.module.vae.decode(subject.module.vae.prior_sample(len(shown.original)), shown.labels).mean
    return _cloud(subject, {**rows, "prior samples": samples})


def denoised(subject: Subject) -> Figure:
    """Test examples, the same under the run's noise, and the reconstructions of the noisy ones."""
    shown, noise = subject.shown, subject.module.noise
    if shown.noisy is None:
        raise DoesNotApply("this run was trained without noise")
    if not subject.are_images:
        return _cloud(
            subject, {"original": shown.original, "noisy input": shown.noisy, "reconstruction": shown.denoised}
        )
    title = "noise" if noise.mode == "stacked" else "noisy input"
    rows = {"original": shown.original, title: shown.noisy, "reconstruction": shown.denoised}
    return plots.image_rows(rows, subject.limits, own_limits=[title])


def prior_samples(subject: Subject) -> Figure:
    """Decoded draws of the prior, with the label given to the decoder or predicted by the model's head."""
    if not subject.are_images:
        raise DoesNotApply("for vectors they are in the figure reconstructions")
    images, z, y = _sampled(subject)
    vae = subject.module.vae
    labels = y if y is not None or vae.classifier is None else vae.classify(z).argmax(-1)
    return plots.image_grid(images, subject.limits, labels)


def keep_samples(subject: Subject, path: Path) -> None:
    """Write samples of the model to ``path``; every epoch decodes the same draws of the prior."""
    with evaluating(subject.module, subject.seed):
        samples = _sampled(subject)[0]
    write_arrays(path, {"samples": samples.float().cpu().numpy()})


def samples_by_epoch(subject: Subject) -> Figure:
    """Kept samples of several epochs side by side; a place shows the same draw of the prior in each."""
    found = sorted(subject.folder.glob(f"epoch_*/{SAMPLES}"))
    if not found:
        raise DoesNotApply("no epoch's samples were kept; train with callbacks.figures.epochs=[0,10,20,30]")
    names = {path: f"epoch {int(path.parent.name.removeprefix('epoch_'))}" for path in found}
    end = subject.folder / SAMPLES
    names |= {end: "end"} if end.is_file() else {}
    samples = {name: _read(path) for path, name in names.items()}
    if not subject.are_images:
        return _cloud(subject, {"test data": subject.shown.original, **samples})
    classes = subject.data.classes if subject.module.vae.decodes_by_class else 0
    mosaics = {name: _square(images, classes) for name, images in samples.items()}
    return plots.image_mosaics(mosaics, subject.limits)


def _sampled(subject: Subject) -> tuple[Tensor, Tensor, Tensor | None]:
    """Samples [N, *x_shape], their latents [N, L], and the classes given to the decoder [N], if it is given any."""
    count = subject.samples if subject.are_images else POINTS
    vae = subject.module.vae
    z = vae.prior_sample(count)
    y = torch.arange(count, device=z.device) % subject.data.classes if subject.module.vae.decodes_by_class else None
    return vae.decode(z, y).mean, z, y


def _read(path: Path) -> np.ndarray:
    with np.load(path) as arrays:
        return arrays["samples"]


def _square(images: np.ndarray, classes: int) -> plots.Mosaic:
    """The images in a square, or with a column a class."""
    columns = min(classes or math.isqrt(len(images)), len(images))
    rows = len(images) // columns
    names = [str(label) for label in range(classes)]
    return plots.Mosaic(images[: rows * columns].reshape(rows, columns, *images.shape[1:]), columns=names)


def _cloud(subject: Subject, panels: Mapping[str, Any]) -> Figure:
    """Vectors; those of a table in its units and under its names."""
    if (table := subject.data.table) is None:
        return plots.point_clouds(panels)
    restored = {title: subject.data.restore(torch.as_tensor(points).cpu()) for title, points in panels.items()}
    return plots.point_clouds(restored, table.value_names)
