"""Pareto points: a tail that is a power of x from the least value on."""

from __future__ import annotations

from vae_hydra.base import checks
from vae_hydra.data.examples import Source
from vae_hydra.data.margins import Marginal, drawn_source, tail_probabilities


def draw_pareto(tail_index: float, dimensions: int, train_size: int, test_size: int, seed: int) -> Source:
    """Vectors of independent Pareto values: P(X > x) = x^(−α) for x ≥ 1, with α = ``tail_index``.

    The mean is α/(α − 1) for α > 1, the variance is finite for α > 2.
    """
    checks.positive("dataset.tail_index", tail_index)
    checks.positive_integer("dataset.dimensions", dimensions)
    margin = Marginal("dataset", {"family": "pareto", "tail_index": tail_index}).margin
    return drawn_source(
        lambda rng, size: tail_probabilities(rng, (size, dimensions)) ** (-1 / tail_index),
        [margin] * dimensions,
        train_size,
        test_size,
        seed,
    )
