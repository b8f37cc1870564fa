"""Points of a multivariate Student t-distribution, whose columns are extreme together."""

from __future__ import annotations

import numpy as np

from vae_hydra.base import checks
from vae_hydra.data.correlated import multivariate_t
from vae_hydra.data.examples import Source
from vae_hydra.data.margins import Marginal, drawn_source


def draw_student_t_correlated(
    df: float, correlation: float, dimensions: int, train_size: int, test_size: int, seed: int
) -> Source:
    """Vectors z·√(ν/v) with z ~ N(0, R), the same correlation ρ between any two columns, and v ~ χ²(ν) for each vector.

    Each column is Student's t of ν = ``df``, its tail index. Because of the shared v the columns are extreme together
    even for ρ = 0.
    """
    checks.positive("dataset.df", df)
    checks.positive_integer("dataset.dimensions", dimensions)
    margin = Marginal("dataset", {"family": "student_t", "df": df}).margin

    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        return multivariate_t(rng, size, dimensions, correlation, df)

    return drawn_source(draw, [margin] * dimensions, train_size, test_size, seed)
