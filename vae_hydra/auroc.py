"""How well a score tells two samples apart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata


class Auroc(NamedTuple):
    """The area under the receiver operating characteristic and its standard error."""

    value: float
    standard_error: float


def auroc(inside: ArrayLike, outside: ArrayLike) -> Auroc:
    """P(s_out > s_in) + ½·P(s_out = s_in): ½ for a score that knows nothing, 1 for one that is always higher outside.

    The standard error is DeLong's, for samples that are independent; it is 0 for samples that do not overlap.

    Args:
        inside: scores [N] of test examples, N ≥ 2; infinite ones count by their order.
        outside: scores [M] of outliers, M ≥ 2.

    Raises:
        ValueError: for a sample of fewer than two, or a score that is no number.

    Source: DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
    characteristic curves", 1988; by ranks as in Sun and Xu, "Fast implementation of DeLong's algorithm", 2014.
    """
    inside, outside = (np.asarray(sample, dtype=np.float64) for sample in (inside, outside))
    n, m = len(inside), len(outside)
    every = np.concatenate([outside, inside])
    if min(n, m) < 2 or np.isnan(every).any():
        raise ValueError(f"an AUROC needs two samples of at least two numbers, but got {n} and {m}, NaN or not")
    ranks = rankdata(every)
    # For every outlier the share of the test examples below it, and for every test example of the outliers above it.
    below = (ranks[:m] - rankdata(outside)) / n
    above = 1 - (ranks[m:] - rankdata(inside)) / m
    variance = below.var(ddof=1) / m + above.var(ddof=1) / n
    return Auroc(float(below.mean()), float(np.sqrt(variance)))
