"""Every pair of columns of every row of a report's tables: their difference and its paired test."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from vae_hydra.studies.reporting.paired_test import p_value
from vae_hydra.studies.reporting.pivots import Cell, Pivot

COLUMNS = [
    *("metric", "dataset", "noise", "options", "one", "other", "pairs", "mean_of_one", "mean_of_other"),
    *("difference", "standard_deviation", "p", "p_holm", "confounded"),
]


def comparisons(pivots: Sequence[Pivot]) -> pd.DataFrame:
    """A table of all pairs of columns, a row a pair, sorted as in the pivots.

    Columns: metric; dataset, noise and options of the row; one and other, the two columns; pairs, the number of seeds
    and folds that they have in common; the means over these; difference, mean of one less that of the other, and its
    standard deviation; p of the two-sided paired test, empty for fewer than three pairs; p_holm, adjusted by Holm's
    method for all tests of that row; confounded, the options besides the sampler that differ between the two.
    """
    return pd.DataFrame([row for pivot in pivots for row in _rows(pivot)], columns=COLUMNS)


def _rows(pivot: Pivot) -> Iterator[dict[str, Any]]:
    for row, cells in pivot.cells.items():
        named = [name for name in pivot.columns if name in cells and cells[name].n]
        found = [_compared(one, other, cells) for one, other in itertools.combinations(named, 2)]
        for each, adjusted in zip(found, holm([each["p"] for each in found]), strict=True):
            yield {"metric": pivot.metric, **row._asdict(), **each, "p_holm": adjusted}


def _compared(one: str, other: str, cells: Mapping[str, Cell]) -> dict[str, Any]:
    first, second = cells[one], cells[other]
    common = sorted(first.values.keys() & second.values.keys(), key=str)
    pairs = np.array([(first.values[key], second.values[key]) for key in common]).reshape(-1, 2)
    differences = pairs[:, 0] - pairs[:, 1]
    several = len(common) > 1 and np.isfinite(differences).all()
    differing = " / ".join(text or "none" for text in (first.confounders, second.confounders))
    return {
        "one": one,
        "other": other,
        "pairs": len(common),
        "mean_of_one": pairs[:, 0].mean() if common else math.nan,
        "mean_of_other": pairs[:, 1].mean() if common else math.nan,
        "difference": differences.mean() if common else math.nan,
        "standard_deviation": differences.std(ddof=1) if several else math.nan,
        "p": p_value(first.values, second.values),
        "confounded": differing if first.confounders != second.confounders else "",
    }


def holm(p_values: Sequence[float]) -> list[float]:
    """p values adjusted for their number.

    The k-th smallest of m becomes m − k + 1 times as large, but no smaller than those before it, and at most 1.
    NaN stands for a comparison without a test; it stays NaN and does not count.

    >>> holm([0.01, 0.04, 0.03, float("nan")])
    [0.03, 0.06, 0.06, nan]

    Source: Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    adjusted = [math.nan] * len(p_values)
    order = sorted((p, index) for index, p in enumerate(p_values) if not math.isnan(p))
    least = 0.0
    for rank, (p, index) in enumerate(order):
        least = max(least, min(1.0, (len(order) - rank) * p))
        adjusted[index] = least
    return adjusted
