"""The table of results as a pivot: a row a (dataset, noise, options), a column a sampler, replicates within a cell."""

from __future__ import annotations

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from vae_hydra.base import checks
from vae_hydra.studies.reporting.cells import by_name
from vae_hydra.studies.reporting.measures import OWN, better

# Two seeds, or two folds, leave a test one degree of freedom, and next to no power.
FEWEST_PAIRS = 3
# Differences that vary by less than this share of the values are rounding.
ROUNDING = 1e-9
Replicate = tuple[Any, Any]
# The columns of the table of results that say where a run belongs.
CELL = ["run", "dataset", "noise_label", "options", "sampler_label", "confounders", "seed", "fold", "status"]


class Row(NamedTuple):
    """What a row of a pivot is: a dataset, a noise of training, and other options as text."""

    dataset: str
    noise: str
    options: str


@dataclass
class Cell:
    """The replicates of one cell.

    Attributes:
        values: (seed, fold) → value of the metric.
        others: status → number of replicates without a value.
        confounders: options besides the sampler in which its column differs from others, as text.
    """

    values: dict[Replicate, float] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)
    confounders: str = ""

    @property
    def n(self) -> int:
        """Replicates with a value."""
        return len(self.values)

    @property
    def total(self) -> int:
        """Replicates, those without a value included."""
        return self.n + self.others.total()

    @property
    def mean(self) -> float:
        """Over the replicates; NaN without any."""
        return math.fsum(self.values.values()) / self.n if self.n else math.nan

    @property
    def spread(self) -> float:
        """Standard deviation with n − 1; NaN for fewer than two replicates or values that are not finite."""
        values = list(self.values.values())
        return statistics.stdev(values) if self.n > 1 and np.isfinite(values).all() else math.nan


@dataclass(frozen=True)
class Pivot:
    """One metric of all runs.

    Attributes:
        metric: its name.
        level: of the tests behind ``best``.
        columns: samplers, with the options that differ.
        cells: row → sampler → cell; a combination that is nowhere is absent.
        best: the row's column with the best mean, where a test supports that it is.
    """

    metric: str
    level: float
    columns: list[str]
    cells: dict[Row, dict[str, Cell]]
    best: dict[Row, str]

    def __iter__(self) -> Iterator[tuple[Row, str, Cell]]:
        return ((row, column, cell) for row, cells in self.cells.items() for column, cell in cells.items())

    @property
    def most_pairs(self) -> int:
        """The most seeds that any two columns of a row have in common, or folds where those are fewer."""
        pairs = (pair for cells in self.cells.values() for pair in itertools.combinations(cells.values(), 2))
        return max((_fewest(one.values.keys() & other.values.keys()) for one, other in pairs), default=0)

    @property
    def has_confounders(self) -> bool:
        """Whether columns differ in more than the sampler, so that they are not compared."""
        return any(_are_confounded(cells) for cells in self.cells.values())

    @property
    def usual_n(self) -> int:
        """The number of replicates with a value that most cells have."""
        counts = Counter(cell.n for _, _, cell in self if cell.n)
        return max(counts, key=lambda n: (counts[n], n), default=0)

    @property
    def has_folds(self) -> bool:
        """Whether replicates are folds of cross-validation."""
        return any(fold is not None for _, _, cell in self for _, fold in cell.values)


def pivot(frame: pd.DataFrame, metric: str, level: float = 0.05) -> Pivot:
    """The values of ``metric`` by dataset, noise and options, and by sampler.

    A column is best, and shown bold, where it has the row's best mean and a two-sided paired test over the common
    replicates tells it from every other column of the row at ``level``: an intersection–union test, which needs no
    correction for their number (Berger, 1982); two-sided, because the best is chosen after looking. ``_p_value``
    has the test, and what "equal" means in it. Of seeds and of folds at least three are asked for, differences that do
    not vary are not tested, and nothing is best in a row whose columns differ in more than the sampler.

    Args:
        frame: as ``results`` makes it.
        metric: a score's column, or ``denoise/own/…`` for each row's own noise of training.
        level: of the tests, in (0, 1).

    Raises:
        ValueError: if no run has the metric, two runs are the same replicate of a cell, or ``level`` is out of range.
    """
    if checks.positive("level", level) >= 1:
        raise ValueError(f"level must be a number in (0, 1), but got {level}")
    placed = frame.dropna(subset=["dataset", "noise_label", "sampler_label", "options"])
    if metric.startswith(OWN):
        placed = placed[placed["noise"] != "none"]
    values = _values(placed, metric)
    if not values.notna().any():
        raise ValueError(f"metrics: no run has {metric}; there are {', '.join(measured(frame)) or 'none'}")
    cells: dict[Row, dict[str, Cell]] = {}
    for run, value in zip(placed.reindex(columns=CELL).to_dict("records"), values, strict=True):
        row = Row(run["dataset"], run["noise_label"], run["options"])
        confounders = "" if pd.isna(run["confounders"]) else run["confounders"]
        _add(cells.setdefault(row, {}).setdefault(run["sampler_label"], Cell(confounders=confounders)), run, value)
    cells = {row: by_sampler for row, by_sampler in cells.items() if _belongs(by_sampler)}
    best = {row: name for row, by_sampler in cells.items() if (name := _best(by_sampler, better(metric), level))}
    named = {column for by_sampler in cells.values() for column in by_sampler}
    columns = [label for label in _in_order(placed) if label in named]
    return Pivot(metric, level, columns, cells, best)


def measured(frame: pd.DataFrame) -> list[str]:
    """Names of all metrics that any run has a value of, each own noise of training as ``denoise/own/…`` besides."""
    names = [column for column in frame.columns if "/" in column and frame[column].notna().any()]
    own = sorted({f"{OWN}{name.rpartition('/')[2]}" for name in names if name.startswith("denoise/")})
    return [*names, *(name for name in own if _values(frame, name).notna().any())]


def _values(frame: pd.DataFrame, metric: str) -> pd.Series:
    if not metric.startswith(OWN):
        return frame.get(metric, pd.Series(math.nan, frame.index))
    name = metric.removeprefix(OWN)
    noises = frame.get("own_noise", frame["noise"]).fillna(frame["noise"])
    values = pd.Series(math.nan, frame.index, dtype=float)
    for noise in noises.dropna().unique():
        if f"denoise/{noise}/{name}" in frame.columns:
            values[noises == noise] = frame.loc[noises == noise, f"denoise/{noise}/{name}"]
    return values


def _in_order(frame: pd.DataFrame) -> list[str]:
    """Labels of samplers, those of one sampler beside each other."""
    labels = dict.fromkeys(zip(frame["sampler"], frame["sampler_label"], strict=True))
    return [label for _, label in sorted(labels, key=lambda pair: by_name(pair[0]))]


def _add(cell: Cell, run: Mapping[str, Any], value: float) -> None:
    seed, fold = (None if pd.isna(part) else int(part) for part in (run["seed"], run["fold"]))
    replicate = seed, fold
    if run["status"] != "done" or pd.isna(value):
        cell.others[run["status"]] += 1
    elif replicate in cell.values:
        raise ValueError(f"two runs are seed {seed} of one cell: {run['run']} and another")
    else:
        cell.values[replicate] = float(value)


def _belongs(cells: Mapping[str, Cell]) -> bool:
    """Whether a row is one of this metric: not if runs of it are done and none has a value."""
    return any(cell.n for cell in cells.values()) or not any(cell.others["done"] for cell in cells.values())


def _are_confounded(cells: Mapping[str, Cell]) -> bool:
    return len({cell.confounders for cell in cells.values()}) > 1


def _best(cells: Mapping[str, Cell], direction: int, level: float) -> str | None:
    means = {name: direction * cell.mean for name, cell in cells.items() if cell.n}
    if not direction or len(cells) < 2 or not means or not np.isfinite(list(means.values())).all():
        return None
    if _are_confounded(cells):
        return None
    best = max(means, key=lambda name: means[name])
    others = (cell for name, cell in cells.items() if name != best)
    return best if all(_is_better(cells[best], other, direction, level) for other in others) else None


def _is_better(one: Cell, other: Cell, direction: int, level: float) -> bool:
    """Whether a two-sided paired test over the common replicates finds ``one`` better."""
    common = sorted(one.values.keys() & other.values.keys(), key=str)
    if _fewest(common) < FEWEST_PAIRS:
        return False
    pairs = np.array([(one.values[replicate], other.values[replicate]) for replicate in common])
    gains = direction * (pairs[:, 0] - pairs[:, 1])
    if gains.std() <= ROUNDING * np.abs(pairs).max() or gains.mean() <= 0:
        return False
    return _p_value(dict(zip(common, gains, strict=True))) < level


def _fewest(replicates: Collection[Replicate]) -> int:
    """The number of seeds, or of folds where those are fewer; where there is one of either, that of the others."""
    numbers = [len(set(part)) for part in zip(*replicates, strict=True)]
    return min((number for number in numbers if number > 1), default=len(replicates))


def _p_value(gains: Mapping[Replicate, float]) -> float:
    """The two-sided p value that seeds and folds, both drawn at random, leave the mean difference no sign.

    t = mean / √(s²_seeds/S + s²_folds/F), with the variances of the means of the S seeds and of the F folds, and
    Satterthwaite's degrees of freedom; over seeds alone, or folds alone, this is the paired t-test. Replicates of one
    fold share its examples, and those of one seed its initial weights: pairs (seed, fold) are not independent, and a
    t-test over them finds a difference between equal columns in up to 26 % of rows. This one does in at most 5 % for
    three seeds and five folds, whatever share of the variance folds have, or seeds up to a half (6 % at 0.8).

    "Equal" means equal distributions of the values. A column that collapses in a third of the seeds is found worse or
    better than a steady one of the same mean in 33 % of rows of three seeds, 13 % of five: t is not for differences so
    skewed. One seed says nothing of other seeds, one fold nothing of other splits. Folds share training
    examples: the test is about these data. Of two learners that are equal on average over fresh data, the folds of one
    seed tell in 5 to 8 %; the factor of Nadeau and Bengio (1/F + 1/(F − 1) for 1/F; 2003) makes that 1 to 2 %, and the
    test half as likely to find a difference, which is why it is not applied.
    """
    # Lighter to load and to call than scipy.stats.
    from scipy.special import stdtr

    means = [_means(gains, part) for part in (0, 1)]
    terms = [(np.var(m, ddof=1) / len(m), len(m) - 1) for m in means if len(m) > 1]
    variance = sum(term for term, _ in terms)
    if variance <= 0:
        return 1.0
    freedom = variance**2 / sum(term**2 / free for term, free in terms)
    mean = math.fsum(gains.values()) / len(gains)
    return float(2 * stdtr(freedom, -abs(mean) / math.sqrt(variance)))


def _means(gains: Mapping[Replicate, float], part: int) -> list[float]:
    """The mean of each seed (part 0) or of each fold (part 1)."""
    found: dict[Any, list[float]] = {}
    for replicate, gain in gains.items():
        found.setdefault(replicate[part], []).append(gain)
    return [math.fsum(values) / len(values) for values in found.values()]
