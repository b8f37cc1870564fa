"""Figures of training, from metrics.csv."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vae_hydra.drawing import plots
from vae_hydra.drawing.panels.subject import DoesNotApply, Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def loss_curves(subject: Subject) -> Figure:
    """Loss, log-likelihood and KL over the epochs."""
    _needs_history(subject)
    schedule = subject.module.beta_schedule
    return plots.loss_curves(subject.history, (schedule(0), schedule.final))


def kl_over_time(subject: Subject) -> Figure:
    """KL and its weight β over the epochs."""
    if not subject.has_kl:
        raise DoesNotApply("a deterministic sampler has no KL")
    _needs_history(subject)
    return plots.kl_over_time(subject.history)


def _needs_history(subject: Subject) -> None:
    if not subject.history:
        raise DoesNotApply("its metrics.csv has no epochs")
