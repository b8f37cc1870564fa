"""The results as a pivot: a row a (dataset, noise, options), a column a sampler, replicates within a cell."""

from __future__ import annotations

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from vae_hydra.studies.reporting.cells import by_name
from vae_hydra.studies.reporting.measures import OWN, better
from vae_hydra.studies.reporting.paired_test import Replicate, fewest, is_better

# The columns of the results that place a run in a pivot.
CELL = ["run", "dataset", "noise_label", "options", "sampler_label", "confounders", "seed", "fold", "status"]


class Row(NamedTuple):
    """A row of a pivot: a dataset, a noise of training, and other options as text."""

    dataset: str
    noise: str
    options: str


@dataclass
class Cell:
    """The replicates of one cell.

    Attributes:
        values: (seed, fold) → value of the metric.
        others: status → number of replicates without a value.
        confounders: options besides the sampler that differ between its column and others, as text.
    """

    values: dict[Replicate, float] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)
    confounders: str = ""

    @property
    def n(self) -> int:
        """Number of replicates with a value."""
        return len(self.values)

    @property
    def total(self) -> int:
        """Number of replicates, with and without a value."""
        return self.n + self.others.total()

    @property
    def mean(self) -> float:
        """Mean over the replicates; NaN without any."""
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
        metric: name of the metric.
        level: level of the tests behind ``best``.
        columns: samplers, with the options that differ.
        cells: row → sampler → cell; combinations without runs are absent.
        best: row → the column with the best mean, where the tests support it.
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
        """The most seeds, or folds where those are fewer, that any two columns of a row have in common."""
        pairs = (pair for cells in self.cells.values() for pair in itertools.combinations(cells.values(), 2))
        return max((fewest(one.values.keys() & other.values.keys()) for one, other in pairs), default=0)

    @property
    def has_confounders(self) -> bool:
        """Whether columns of a row differ in more than the sampler; such columns are not compared."""
        return any(_are_confounded(cells) for cells in self.cells.values())

    @property
    def usual_n(self) -> int:
        """The most frequent number of replicates with a value."""
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
    correction for their number (Berger, 1982); two-sided, because the best is chosen after looking. See
    ``paired_test`` for the test and its meaning of "equal". A test needs at least three seeds or folds and differences
    that vary. Nothing is best in a row whose columns differ in more than the sampler.

    Args:
        frame: as ``results`` makes it.
        metric: a score's column, or ``denoise/own/…`` for the noise that each run was trained under.
        level: level of the tests, in (0, 1).

    Raises:
        ValueError: if no run has the metric, two runs are the same replicate of a cell, or ``level`` is out of range.
    """
    if not isinstance(level, int | float) or not 0 < level < 1:
        raise ValueError(f"level must be a number in (0, 1), but got {level!r}")
    placed = frame.dropna(subset=["dataset", "noise_label", "sampler_label", "options"])
    if metric.startswith(OWN):
        placed = placed[placed["noise"] != "none"]
    values = values_of(placed, metric)
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
    columns = [label for label in labels_in_order(placed) if label in named]
    return Pivot(metric, level, columns, cells, best)


def measured(frame: pd.DataFrame) -> list[str]:
    """Names of all metrics that any run has, and ``denoise/own/…`` for scores under a run's own noise of training."""
    names = [column for column in frame.columns if "/" in column and frame[column].notna().any()]
    own = sorted({f"{OWN}{name.rpartition('/')[2]}" for name in names if name.startswith("denoise/")})
    return [*names, *(name for name in own if values_of(frame, name).notna().any())]


def values_of(frame: pd.DataFrame, metric: str) -> pd.Series:
    """The values of a metric by run, also of ``denoise/own/…``; NaN where a run has none."""
    if not metric.startswith(OWN):
        return frame.get(metric, pd.Series(math.nan, frame.index))
    name = metric.removeprefix(OWN)
    noises = frame.get("own_noise", frame["noise"]).fillna(frame["noise"])
    values = pd.Series(math.nan, frame.index, dtype=float)
    for noise in noises.dropna().unique():
        if f"denoise/{noise}/{name}" in frame.columns:
            values[noises == noise] = frame.loc[noises == noise, f"denoise/{noise}/{name}"]
    return values


def labels_in_order(frame: pd.DataFrame) -> list[str]:
    """Labels of samplers; those of one sampler are neighbours."""
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
    """Whether a row has this metric; it has not if runs are done and none has a value."""
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
    return best if all(is_better(cells[best].values, other.values, direction, level) for other in others) else None
