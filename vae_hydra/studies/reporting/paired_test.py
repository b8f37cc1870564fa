"""Whether one column of a table is better than another: a paired test over seeds and folds."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

# Lighter to load and to call than scipy.stats.
from scipy.special import stdtr

# Two seeds, or two folds, leave a test one degree of freedom, and next to no power.
FEWEST_PAIRS = 3
# Differences that vary by less than this share of the values are rounding.
ROUNDING = 1e-9
# (seed, fold)
Replicate = tuple[Any, Any]
Values = Mapping[Replicate, float]


def is_better(one: Values, other: Values, direction: int, level: float) -> bool:
    """Whether a two-sided paired test over the common replicates finds ``one`` better.

    Args:
        one: values by replicate.
        other: values by replicate.
        direction: −1 where less is better, 1 where more is.
        level: of the test, in (0, 1).
    """
    common = one.keys() & other.keys()
    gain = direction * math.fsum(one[replicate] - other[replicate] for replicate in common)
    # NaN, of too few pairs, is not below any level.
    return gain > 0 and p_value(one, other) < level


def p_value(one: Values, other: Values) -> float:
    """The two-sided p value of a paired test over the common replicates; see ``_p_value``.

    NaN for fewer than three seeds or folds, and for values that are not finite; 1 where differences do not vary.
    """
    common = sorted(one.keys() & other.keys(), key=str)
    pairs = np.array([(one[replicate], other[replicate]) for replicate in common])
    if fewest(common) < FEWEST_PAIRS or not np.isfinite(pairs).all():
        return math.nan
    differences = pairs[:, 0] - pairs[:, 1]
    if differences.std() <= ROUNDING * np.abs(pairs).max():
        return 1.0
    return _p_value(dict(zip(common, differences.tolist(), strict=True)))


def fewest(replicates: Collection[Replicate]) -> int:
    """The number of seeds or of folds, whichever is smaller; where there is only one seed or one fold, the other."""
    numbers = [len(set(part)) for part in zip(*replicates, strict=True)]
    return min((number for number in numbers if number > 1), default=len(replicates))


def _p_value(gains: Values) -> float:
    """The two-sided p value of the mean difference, with seeds and folds both drawn at random.

    t = mean / √(s²_seeds/S + s²_folds/F), with the variances of the means of the S seeds and of the F folds, and
    Satterthwaite's degrees of freedom; over seeds alone, or folds alone, this is the paired t-test. Pairs (seed, fold)
    are not independent: replicates of one fold share its examples, and those of one seed its initial weights. A t-test
    over the pairs finds a difference between equal columns in up to 26 % of rows. This one does in at most 5 % for
    three seeds and five folds, whatever share of the variance folds have, or seeds up to a half (6 % at 0.8).

    "Equal" means equal distributions of the values. A column that collapses in a third of the seeds is found worse or
    better than a steady one of the same mean in 33 % of rows of three seeds, 13 % of five: t is not for differences so
    skewed. One seed says nothing of other seeds, one fold nothing of other splits. Folds share training
    examples: the test is about these data. Of two learners that are equal on average over fresh data, the folds of one
    seed tell in 5 to 8 %; the factor of Nadeau and Bengio (1/F + 1/(F − 1) for 1/F; 2003) makes that 1 to 2 %, and the
    test half as likely to find a difference, which is why it is not applied.
    """
    means = [_means(gains, part) for part in (0, 1)]
    terms = [(np.var(m, ddof=1) / len(m), len(m) - 1) for m in means if len(m) > 1]
    variance = sum(term for term, _ in terms)
    if variance <= 0:
        return 1.0
    freedom = variance**2 / sum(term**2 / free for term, free in terms)
    mean = math.fsum(gains.values()) / len(gains)
    return float(2 * stdtr(freedom, -abs(mean) / math.sqrt(variance)))


def _means(gains: Values, part: int) -> list[float]:
    """The mean of each seed (part 0) or of each fold (part 1)."""
    found: defaultdict[Any, list[float]] = defaultdict(list)
    for replicate, gain in gains.items():
        found[replicate[part]].append(gain)
    return [math.fsum(values) / len(values) for values in found.values()]
