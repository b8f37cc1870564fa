"""Inverse Gaussian points in the plane."""

from __future__ import annotations

import torch

from vae_hydra.base import checks
from vae_hydra.data.examples import Examples, Source
from vae_hydra.distributions.inverse_gaussian import InverseGaussian


def draw_inverse_gaussian_2d(loc: float, concentration: float, seed: int) -> Source:
    """Points in the plane, 40,000 for training and 10,000 for testing, all of one class.

    x ~ InverseGaussian(loc, concentration) independently per axis: mean loc, variance loc³/concentration. The smaller
    the concentration, the heavier the tail.
    """
    mean = torch.tensor(checks.positive("dataset.loc", loc), dtype=torch.float64)
    family = InverseGaussian(mean, checks.positive("dataset.concentration", concentration))
    checks.non_negative_integer("dataset.seed", seed)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        parts = [family.sample((size, 2)).float() for size in (40_000, 10_000)]
    train, test = (Examples(x, torch.zeros(len(x), dtype=torch.long)) for x in parts)
    return Source(train, test)
