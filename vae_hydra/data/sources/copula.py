"""Points with chosen margins, joined by a Gaussian or a t copula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from vae_hydra.base import checks
from vae_hydra.data.correlated import multivariate_normal, multivariate_t
from vae_hydra.data.examples import Source
from vae_hydra.data.margins import Marginal, drawn_source

COPULAS = ("gaussian", "student_t")


def draw_copula(
    copula: str,
    correlation: float,
    df: float,
    margins: Sequence[Mapping[str, Any]],
    dimensions: int,
    train_size: int,
    test_size: int,
    seed: int,
) -> Source:
    """Vectors x with x_j = F_j⁻¹(G(z_j)), where z is Normal or Student t with one correlation and G is its margin.

    Args:
        copula: ``gaussian``, whose columns are extreme independently in the limit, or ``student_t``, whose columns are
            extreme together.
        correlation: of z, between any two columns.
        df: degrees of freedom of a t copula; not used otherwise.
        margins: for each column a group with ``family`` and its options (``data.margins.FAMILIES``); one for all.
        dimensions, train_size, test_size, seed: the number of columns, of examples, and the seed of all draws.

    Source: Demarta and McNeil, "The t copula and related copulas", 2005.
    """
    checks.one_of("dataset.copula", copula, COPULAS)
    checks.positive("dataset.df", df)
    checks.positive_integer("dataset.dimensions", dimensions)
    columns = _columns(margins, dimensions)
    scores = stats.norm() if copula == "gaussian" else stats.t(df)

    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        if copula == "gaussian":
            z = multivariate_normal(rng, size, dimensions, correlation)
        else:
            z = multivariate_t(rng, size, dimensions, correlation, df)
        below, above = scores.cdf(z), scores.sf(z)
        return np.stack([column.values(below[:, i], above[:, i]) for i, column in enumerate(columns)], axis=1)

    return drawn_source(draw, [column.margin for column in columns], train_size, test_size, seed)


def _columns(margins: Any, dimensions: int) -> list[Marginal]:
    if isinstance(margins, str) or not isinstance(margins, Sequence) or len(margins) not in (1, dimensions):
        raise ValueError(
            "dataset.margins must be a list of one group for all columns, or of one for each of "
            f"dataset.dimensions={dimensions}, but got {margins!r}"
        )
    columns = [Marginal(f"dataset.margins[{number}]", options) for number, options in enumerate(margins)]
    return columns * dimensions if len(columns) == 1 else columns
