"""Lognormal points in the plane."""

from __future__ import annotations

import torch

from vae_hydra.base import checks
from vae_hydra.data.examples import Examples, Source

LOGNORMAL_2D_VARIANTS = ("raw", "rescaled", "overlapping")


def draw_lognormal_2d(variant: str, seed: int) -> Source:
    """Two classes of lognormal points in the plane, each with 20,000 for training and 5,000 for testing.

    x = exp(N(m, 0.4²)) per axis, with m = (0, 2) and (2, 0); ``overlapping``: (0, 1) and (1, 0);
    ``rescaled``: ``raw`` with each axis mapped to [0, 1] by its minimum and maximum over all points.

    Source: HeavyTailed-VAE, project report, 2024.
    """
    checks.one_of("dataset.variant", variant, LOGNORMAL_2D_VARIANTS)
    generator = torch.Generator().manual_seed(checks.non_negative_integer("dataset.seed", seed))
    far = 1.0 if variant == "overlapping" else 2.0
    centres = torch.tensor([[0.0, far], [far, 0.0]])

    def draw(per_class: int) -> Examples:
        noise = torch.randn(2, per_class, 2, generator=generator)
        x = (centres[:, None] + 0.4 * noise).exp().reshape(-1, 2)
        return Examples(x, torch.arange(2).repeat_interleave(per_class))

    train, test = draw(20_000), draw(5_000)
    if variant == "rescaled":
        points = torch.cat([train.x, test.x])
        low, span = points.amin(0), points.amax(0) - points.amin(0)
        train, test = (Examples((part.x - low) / span, part.y) for part in (train, test))
    return Source(train, test)
