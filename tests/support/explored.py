"""Untrained models to explore: these tests do not depend on training."""

from __future__ import annotations

from vae_hydra.runs.build import build_experiment
from vae_hydra.runs.trained import TrainedModel

_MADE: dict[tuple[str, ...], TrainedModel] = {}


def untrained(configure, *overrides: str) -> TrainedModel:
    """A model built for digits with ``overrides``; cached, so tests must not change it."""
    if overrides not in _MADE:
        module, data = build_experiment(configure("model.latent_dim=4", *overrides))
        _MADE[overrides] = TrainedModel(module.eval(), data)
    return _MADE[overrides]
