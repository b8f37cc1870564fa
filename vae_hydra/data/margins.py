"""Distributions of single columns with known quantiles and tail index, and sources drawn from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy import stats

from vae_hydra.base import checks
from vae_hydra.data.examples import Examples, Margin, Source, TrueMargins

# (generator, n) → examples [n, D].
Draw = Callable[[np.random.Generator, int], np.ndarray]
# Family → its options with their defaults; None for an option without one.
FAMILIES: dict[str, dict[str, float | None]] = {
    "pareto": {"tail_index": None},
    "student_t": {"df": None, "loc": 0.0, "scale": 1.0},
    "lognormal": {"loc": 0.0, "scale": 1.0},
    "gamma": {"concentration": None, "rate": 1.0},
    "normal": {"loc": 0.0, "scale": 1.0},
}
_SCIPY: dict[str, Callable[..., Any]] = {
    "pareto": lambda tail_index: stats.pareto(tail_index),
    "student_t": lambda df, loc, scale: stats.t(df, loc, scale),
    "lognormal": lambda loc, scale: stats.lognorm(scale, scale=math.exp(loc)),
    "gamma": lambda concentration, rate: stats.gamma(concentration, scale=1 / rate),
    "normal": lambda loc, scale: stats.norm(loc, scale),
}
# The option that is the tail index; other families' tails are lighter than any power.
_TAIL_INDEX = {"pareto": "tail_index", "student_t": "df"}


class Marginal:
    """A distribution of one column by its family and options.

    Args:
        name: of the option, for errors.
        options: ``family``, a key of ``FAMILIES``, and the options of that family.

    Raises:
        ValueError: for another family, or an option that is missing, unknown or out of its range.
    """

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        given = dict(checks.group(name, options))
        family = checks.one_of(f"{name}.family", given.pop("family", None), FAMILIES)
        unknown = given.keys() - FAMILIES[family].keys()
        if unknown:
            raise ValueError(
                f"{name}: {family} has the options {', '.join(FAMILIES[family])}, but got {', '.join(sorted(unknown))}"
            )
        check = {"loc": checks.number}
        values = {
            option: check.get(option, checks.positive)(f"{name}.{option}", given.get(option, default))
            for option, default in FAMILIES[family].items()
        }
        self.distribution = _SCIPY[family](**values)
        self.margin = Margin(values[_TAIL_INDEX[family]] if family in _TAIL_INDEX else math.inf, self.quantile)

    def quantile(self, probability: float) -> float:
        """The value with a share ``probability`` below."""
        return float(self.values(np.asarray(probability), np.asarray(1 - probability)))

    def values(self, below: np.ndarray, above: np.ndarray) -> np.ndarray:
        """The values with shares ``below`` and ``above``, which add to 1: the smaller of them has the digits."""
        return np.where(below < above, self.distribution.ppf(below), self.distribution.isf(above))


def drawn_source(
    draw: Draw,
    margins: Sequence[Margin],
    train_size: int,
    test_size: int,
    seed: int,
) -> Source:
    """Vectors of one class, drawn for training and then for testing.

    Args:
        draw: (generator, n) → examples [n, D].
        margins: the distributions of the D columns.
        train_size, test_size: numbers of examples.
        seed: of all draws.

    Raises:
        ValueError: for an option out of its range, or draws beyond single precision.
    """
    checks.positive_integer("dataset.train_size", train_size)
    checks.positive_integer("dataset.test_size", test_size)
    rng = np.random.default_rng(checks.non_negative_integer("dataset.seed", seed))
    train, test = (_examples(draw, rng, size) for size in (train_size, test_size))
    return Source(train, test, truth=TrueMargins(margins))


def _examples(draw: Draw, rng: np.random.Generator, size: int) -> Examples:
    with np.errstate(over="ignore"):
        x = torch.from_numpy(draw(rng, size)).float()
    if not x.isfinite().all():
        raise ValueError("dataset: the tail is too heavy, some draws are beyond single precision (3e38)")
    return Examples(x, torch.zeros(size, dtype=torch.long))


def tail_probabilities(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform draws in (0, 1], for the probability of larger values."""
    return 1 - rng.random(shape)
