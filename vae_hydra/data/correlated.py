"""Normal and Student-t vectors with one correlation between any two columns."""

from __future__ import annotations

import numpy as np

from vae_hydra.base import checks


def multivariate_normal(rng: np.random.Generator, size: int, dimensions: int, correlation: float) -> np.ndarray:
    """Draws of N(0, R), [size, dimensions], with R = 1 on the diagonal and ``correlation`` elsewhere.

    Raises:
        ValueError: for a correlation for which R is no correlation matrix.
    """
    least = -1 / (dimensions - 1) if dimensions > 1 else -1
    if not least <= checks.number("dataset.correlation", correlation) <= 1:
        raise ValueError(
            f"dataset.correlation must be a number from {least:.3g} to 1 with dataset.dimensions={dimensions}, but got "
            f"{correlation!r}"
        )
    z = rng.standard_normal((size, dimensions))
    # R has the eigenvalue 1 + (D − 1)·ρ along (1, …, 1), and 1 − ρ across it.
    mean = z.mean(1, keepdims=True)
    along = np.sqrt(max(1 + (dimensions - 1) * correlation, 0.0))
    return along * mean + np.sqrt(1 - correlation) * (z - mean)


def multivariate_t(rng: np.random.Generator, size: int, dimensions: int, correlation: float, df: float) -> np.ndarray:
    """Draws of ``multivariate_normal``, each divided by √(v/ν) with v ~ χ²(ν), ν = ``df``."""
    z = multivariate_normal(rng, size, dimensions, correlation)
    return z * np.sqrt(df / rng.chisquare(df, (size, 1)))
