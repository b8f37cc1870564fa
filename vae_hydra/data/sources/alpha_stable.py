"""α-stable points: limits of sums of heavy-tailed values."""

from __future__ import annotations

import math
from functools import partial

from scipy import stats

from vae_hydra.base import checks
from vae_hydra.data.examples import Margin, Source
from vae_hydra.data.margins import drawn_source
from vae_hydra.distributions import alpha_stable


def draw_alpha_stable(alpha: float, beta: float, dimensions: int, train_size: int, test_size: int, seed: int) -> Source:
    """Vectors of independent α-stable values with the characteristic function exp(−|t|^α·(1 − iβ·tan(πα/2)·sign t)).

    The tail index is α for α < 2. For α = 2 the values are Normal of variance 2, for α = 1 Cauchy.

    Args:
        alpha: in (0, 2]. Around 1 the skew values of this form move to infinity, so values within 0.02 of 1 are
            refused, except 1 itself with beta = 0.
        beta: skewness, in [−1, 1]: the share of the upper tail is (1 + β)/2.
        dimensions, train_size, test_size, seed: the number of columns, of examples, and the seed of all draws.

    Source of the draws: Chambers, Mallows and Stuck, "A method for simulating stable random variables", 1976.
    """
    if checks.positive("dataset.alpha", alpha) > 2:
        raise ValueError(f"dataset.alpha must be a number in (0, 2], but got {alpha!r}")
    if abs(checks.number("dataset.beta", beta)) > 1:
        raise ValueError(f"dataset.beta must be a number from −1 to 1, but got {beta!r}")
    if abs(alpha - 1) < 0.02 and not (alpha == 1 and beta == 0):
        raise ValueError(
            "dataset.alpha must be 1 with dataset.beta=0, or at least 0.02 from 1, but got "
            f"{alpha!r} with dataset.beta={beta!r}"
        )
    checks.positive_integer("dataset.dimensions", dimensions)
    margin = Margin(float(alpha) if alpha < 2 else math.inf, partial(alpha_stable.quantile, alpha=alpha, beta=beta))
    return drawn_source(
        lambda rng, size: stats.levy_stable.rvs(alpha, beta, size=(size, dimensions), random_state=rng),
        [margin] * dimensions,
        train_size,
        test_size,
        seed,
    )
