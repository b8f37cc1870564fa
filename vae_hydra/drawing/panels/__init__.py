"""Figures of a run by name: one function each, from a ``Subject`` to a matplotlib figure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from vae_hydra.base import checks
from vae_hydra.distributions import NoQuantiles
from vae_hydra.drawing.panels.decoded import interpolations, quantile_grid, traversals
from vae_hydra.drawing.panels.examples import (
    SAMPLES,
    denoised,
    keep_samples,
    prior_samples,
    reconstructions,
    samples_by_epoch,
)
from vae_hydra.drawing.panels.latents import (
    codes_against_prior,
    draws_over_density,
    kl_per_latent,
    latent_plane,
    posterior_parameters,
)
from vae_hydra.drawing.panels.subject import DoesNotApply, ShownExamples, Subject, evaluating
from vae_hydra.drawing.panels.training import kl_over_time, loss_curves
from vae_hydra.drawing.panels.values import noise_pixels, tail_index, tails

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "ALL",
    "DEFAULT",
    "PANELS",
    "SAMPLES",
    "DoesNotApply",
    "ShownExamples",
    "Subject",
    "chosen",
    "drawn",
    "keep_samples",
]

PANELS: dict[str, Callable[[Subject], Figure]] = {
    panel.__name__: panel
    for panel in (
        loss_curves,
        reconstructions,
        denoised,
        prior_samples,
        samples_by_epoch,
        latent_plane,
        quantile_grid,
        traversals,
        interpolations,
        posterior_parameters,
        codes_against_prior,
        draws_over_density,
        kl_per_latent,
        kl_over_time,
        noise_pixels,
        tails,
        tail_index,
    )
}
# Values of ``show`` besides names: every figure, and the figures that training draws by default.
ALL, DEFAULT = "all", "default"
DRAWN_BY_DEFAULT = ("loss_curves", "reconstructions", "denoised", "prior_samples", "samples_by_epoch", "latent_plane")


def chosen(key: str, show: Any) -> list[str]:
    """Names of figures in the order of ``PANELS``.

    Args:
        key: the option that holds ``show``, for errors.
        show: ``all``, ``default``, or a list of names, which may contain ``default``.

    Raises:
        ValueError: for an unknown name; the message lists the known ones.
    """
    words = [show] if isinstance(show, str) else show
    if not isinstance(words, (list, tuple)) or not words:
        raise ValueError(f"{key} must be all, default, or a list of names such as [traversals], but got {show!r}")
    for word in words:
        checks.one_of(key, word, (*PANELS, DEFAULT, ALL))
    named = {*words, *(DRAWN_BY_DEFAULT if DEFAULT in words else ())}
    return [name for name in PANELS if name in named or ALL in words]


def drawn(subject: Subject, names: Iterable[str]) -> Iterator[tuple[str, Figure | str]]:
    """Draw figures one by one: each name with its figure or, if it does not apply to this run, with the reason.

    A figure depends on the subject alone, not on the figures before it: draws are seeded anew for each.
    """
    for name in names:
        with evaluating(subject.module, subject.seed):
            figure = _attempt(name, subject)
        yield name, figure


def _attempt(name: str, subject: Subject) -> Figure | str:
    try:
        return PANELS[name](subject)
    except (DoesNotApply, NoQuantiles) as reason:
        return str(reason)
