"""Slider positions ↔ latents: a position is a probability under the prior."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_hydra.distributions import parameters, quantile

# The ends of a slider: priors without bounds have no quantiles at 0 and 1.
LEAST, MOST = 0.001, 0.999
# Halvings of that interval: positions are exact to 1e-9.
HALVINGS = 30


def latents_at(prior: Distribution, positions: Tensor) -> Tensor:
    """z = F⁻¹(p) under the prior of each latent [..., L], for positions p in (0, 1) that broadcast with [L]."""
    like = next(iter(parameters(prior).values()), positions.float())
    return quantile(prior, positions.to(like))


def positions_of(prior: Distribution, z: Tensor) -> Tensor:
    """Positions p = F(z) of latents z [..., L], in double precision; beyond a slider's ends, the position of the end.

    They are found from quantiles by bisection: this works for families without a cdf, and inverts ``latents_at``.
    """
    low, high = torch.full_like(z, LEAST, dtype=torch.float64), torch.full_like(z, MOST, dtype=torch.float64)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        is_above = latents_at(prior, middle) < z
        low, high = torch.where(is_above, middle, low), torch.where(is_above, high, middle)
    return (low + high) / 2


def is_beyond(prior: Distribution, z: Tensor) -> Tensor:
    """Whether latents [..., L] lie outside the range of the sliders."""
    least, most = (latents_at(prior, torch.tensor(end)) for end in (LEAST, MOST))
    return (z < least) | (z > most)
