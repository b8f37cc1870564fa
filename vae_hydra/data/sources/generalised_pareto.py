"""Generalised Pareto points, on one side of 0 or on both."""

from __future__ import annotations

import math

import numpy as np

from vae_hydra.base import checks
from vae_hydra.data.examples import Margin, Source
from vae_hydra.data.margins import drawn_source, tail_probabilities


def draw_generalised_pareto(
    shape: float, scale: float, symmetric: bool, dimensions: int, train_size: int, test_size: int, seed: int
) -> Source:
    """Vectors of independent generalised Pareto values: P(X > x) = (1 + ξ·x/σ)^(−1/ξ) for x ≥ 0.

    The tail index is 1/ξ. For ξ = 0 the values are exponential.

    Args:
        shape: ξ ≥ 0.
        scale: σ > 0.
        symmetric: whether each value gets a random sign.
        dimensions, train_size, test_size, seed: the number of columns, of examples, and the seed of all draws.

    Source: Pickands, "Statistical inference using extreme order statistics", 1975.
    """
    checks.non_negative("dataset.shape", shape)
    checks.positive("dataset.scale", scale)
    checks.boolean("dataset.symmetric", symmetric)
    checks.positive_integer("dataset.dimensions", dimensions)

    def size_at(tail: np.ndarray) -> np.ndarray:
        """The x with P(X > x) = tail."""
        return scale * (np.expm1(-shape * np.log(tail)) / shape if shape else -np.log(tail))

    def draw(rng: np.random.Generator, count: int) -> np.ndarray:
        values = size_at(tail_probabilities(rng, (count, dimensions)))
        return np.where(rng.random(values.shape) < 0.5, -values, values) if symmetric else values

    def quantile(probability: float) -> float:
        if not symmetric:
            return float(size_at(np.asarray(1 - probability)))
        size = float(size_at(np.asarray(2 * min(probability, 1 - probability))))
        return math.copysign(size, probability - 0.5)

    margin = Margin(1 / shape if shape else math.inf, quantile)
    return drawn_source(draw, [margin] * dimensions, train_size, test_size, seed)
