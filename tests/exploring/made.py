"""Untrained models to explore: training adds nothing to what is tested with them."""

from __future__ import annotations

import torch

from vae_hydra.build import build_experiment
from vae_hydra.exploring.model import Explored, explored


def untrained(configure, *overrides: str) -> Explored:
    """A model as it is built for digits, or what ``overrides`` say."""
    module, data = build_experiment(configure("model.latent_dim=4", *overrides))
    torch.manual_seed(0)
    return explored(module.eval(), data)
