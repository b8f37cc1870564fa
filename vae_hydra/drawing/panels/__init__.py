"""A run → its figures: by name, for the callback that draws while training and the command that draws afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from vae_hydra.base import checks
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
from vae_hydra.drawing.panels.subject import DoesNotApply, Shown, Subject, looking
from vae_hydra.drawing.panels.training import kl_over_time, loss_curves
from vae_hydra.drawing.panels.values import noise_pixels, tails

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ALL", "DEFAULT", "PANELS", "SAMPLES", "DoesNotApply", "Shown", "Subject", "chosen", "drawn", "keep_samples"]

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
    )
}
# Words for all of them, and for what training draws by itself.
ALL, DEFAULT = "all", "default"
DRAWN_BY_DEFAULT = ("loss_curves", "reconstructions", "denoised", "prior_samples", "samples_by_epoch", "latent_plane")


def chosen(key: str, show: Any) -> list[str]:
    """Names of figures in the order of ``PANELS``.

    Args:
        key: option that ``show`` came from.
        show: ``all``, ``default``, or a list of names, among which ``default`` may be.

    Raises:
        ValueError: for anything else; it lists the names.
    """
    words = [show] if isinstance(show, str) else show
    if not isinstance(words, (list, tuple)) or not words:
        raise ValueError(f"{key} must be all, default, or a list of names such as [traversals], but got {show!r}")
    for word in words:
        checks.one_of(key, word, (*PANELS, DEFAULT, ALL))
    named = {*words, *(DRAWN_BY_DEFAULT if DEFAULT in words else ())}
    return [name for name in PANELS if name in named or ALL in words]


def drawn(subject: Subject, names: Iterable[str]) -> Iterator[tuple[str, Figure | str]]:
    """Draw figures one after the other: name and figure, or, where it does not apply to this run, the reason.

    Each is a function of the subject alone: draws are seeded anew for every figure and change no others.
    """
    for name in names:
        with looking(subject.module, subject.seed):
            figure = _attempt(name, subject)
        yield name, figure


def _attempt(name: str, subject: Subject) -> Figure | str:
    try:
        return PANELS[name](subject)
    except DoesNotApply as reason:
        return str(reason)
