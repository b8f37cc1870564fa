"""Untrained models to explore: training adds nothing to what is tested with them."""

from __future__ import annotations

from vae_hydra.drawing.page.model import Explored, explored
from vae_hydra.runs.build import build_experiment

_MADE: dict[tuple[str, ...], Explored] = {}


def untrained(configure, *overrides: str) -> Explored:
    """A model as it is built for digits, or what ``overrides`` say; the same one each time, not to be changed."""
    if overrides not in _MADE:
        module, data = build_experiment(configure("model.latent_dim=4", *overrides))
        _MADE[overrides] = explored(module.eval(), data)
    return _MADE[overrides]
