"""Points from a mixture of Student-t distributions."""

from __future__ import annotations

import numpy as np
import torch

from vae_hydra.base import checks
from vae_hydra.data.examples import Examples, Source


def draw_student_t_mixture(dimensions: int, df: float, train_size: int, test_size: int, seed: int) -> Source:
    """Points from two Student-t components, on a line or along a curve in the plane, labelled by component.

    1-D: x ~ 0.6·t(−2, 1) + 0.4·t(2, 1), where t(location, scale) has ν = ``df`` degrees of freedom.
    2-D: u ~ 0.7·t(−2, 2) + 0.3·t(2, 2), and x = (u, u + 2·sin(πu/4)) + ε·√(6/v) with ε ~ N(0, I) and one v ~ χ²(6)
    for each point: bivariate t noise with 6 degrees of freedom.

    Source: Kim et al., "t³-Variational Autoencoder: Learning Heavy-tailed Data with Student's t and Power
    Divergence", 2023; there ν = 5, with 200,000 points for training and 500,000 for testing.
    """
    checks.integer("dataset.dimensions", dimensions, minimum=1, maximum=2)
    checks.positive("dataset.df", df)
    checks.positive_integer("dataset.train_size", train_size)
    checks.positive_integer("dataset.test_size", test_size)
    rng = np.random.default_rng(checks.non_negative_integer("dataset.seed", seed))
    first_share, scale = (0.6, 1.0) if dimensions == 1 else (0.7, 2.0)

    def draw(size: int) -> Examples:
        component = (rng.random(size) >= first_share).astype(np.int64)
        u = np.where(component == 0, -2.0, 2.0) + scale * rng.standard_t(df, size)
        x = u[:, None]
        if dimensions == 2:
            noise = rng.standard_normal((size, 2)) * np.sqrt(6 / rng.chisquare(6, (size, 1)))
            x = np.stack([u, u + 2 * np.sin(np.pi * u / 4)], axis=1) + noise
        return Examples(torch.from_numpy(x.astype(np.float32)), torch.from_numpy(component))

    return Source(train=draw(train_size), test=draw(test_size))
