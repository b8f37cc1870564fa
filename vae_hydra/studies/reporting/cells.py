"""The place of a run in a pivot: row, column and replicate."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from vae_hydra.runs.identity import Leaves
from vae_hydra.studies.reporting.options import ROLES, Compared, short_names, value_text

GROUPS = ("dataset", "noise", "sampler")
ROW = ("dataset.name", "noise.name")
# Samplers and noises in the usual order; others follow by name.
FIRST = (
    *("none", "normal", "lognormal", "inverse_gaussian", "student_t", "laplace", "gamma", "weibull", "uniform"),
    "deterministic",
)


class Keys(NamedTuple):
    """Options that divide cells, by their place: in the noise's label, in the sampler's label, or in the row's."""

    noise: list[str]
    sampler: list[str]
    row: list[str]


def grouped(keys: Iterable[str]) -> Keys:
    """``keys`` by their place."""
    keys = list(keys)
    noise, sampler = ([key for key in keys if key.startswith(f"{group}.")] for group in GROUPS[1:])
    return Keys(noise, sampler, [key for key in keys if key not in {*noise, *sampler}])


class Places:
    """The places of runs in a pivot, by the options of all runs.

    Args:
        known: the options of each run that has a place.

    Attributes:
        compared: the comparison of those options.
    """

    def __init__(self, known: Sequence[Leaves]) -> None:
        self.compared = Compared(known)
        split = grouped(self.keys)
        self._noise = _Varied(("noise.name",), split.noise, known)
        self._sampler = _Varied(("sampler.name",), split.sampler, known)
        self._row = _Varied(ROW, split.row, known)
        self._short = short_names(self.compared.confounders)

    @property
    def keys(self) -> list[str]:
        """Options that divide cells."""
        return self.compared.keys

    @property
    def paths(self) -> list[str]:
        """Every option that placing a run needs."""
        return [*ROLES[:3], "seed", *self.keys, *self.compared.confounders]

    def columns(self, run: Leaves) -> dict[str, Any]:
        """The columns of the results that place a run.

        Args:
            run: its options; without some of ``paths`` the run has no cell, and fewer columns.
        """
        columns = {
            **{group: run.get(f"{group}.name") for group in GROUPS},
            "seed": run.get("seed"),
            "fold": run.get("dataset.fold"),
            **{key: plain(run.get(key)) for key in self.keys},
        }
        if not run.keys() >= set(self.paths):
            return columns
        confounders = [f"{self._short[path]}={value_text(run, path)}" for path in self.compared.confounders]
        return {
            **columns,
            "noise_label": " ".join(_label(run, "noise", self._noise.keys(run))),
            "sampler_label": " ".join([*_label(run, "sampler", self._sampler.keys(run)), *confounders]),
            "confounders": " ".join(confounders),
            "options": ", ".join(f"{key}={value_text(run, key)}" for key in self._row.keys(run)),
        }


def _label(run: Leaves, group: str, keys: Iterable[str]) -> list[str]:
    """``student_t``, ``df=3``: the name of a group's choice, and its options at ``keys``."""
    options = (f"{key.removeprefix(group + '.')}={value_text(run, key)}" for key in keys)
    return [value_text(run, f"{group}.name"), *options]


class _Varied:
    """Which of ``keys`` differ between runs that are equal in the options ``alike``."""

    def __init__(self, alike: Sequence[str], keys: Sequence[str], known: Iterable[Leaves]) -> None:
        self._alike, self._keys = alike, keys
        self._found: defaultdict[tuple[tuple[str, ...], str], set[str]] = defaultdict(set)
        for run in known:
            for key in keys:
                self._found[self._group(run), key].add(value_text(run, key))

    def _group(self, run: Leaves) -> tuple[str, ...]:
        return tuple(value_text(run, path) for path in self._alike)

    def keys(self, run: Leaves) -> list[str]:
        """The keys that differ among the runs like ``run``."""
        group = self._group(run)
        return [key for key in self._keys if len(self._found[group, key] | {value_text(run, key)}) > 1]


def plain(value: Any) -> Any:
    """A value for a cell of a table: lists and groups as text."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


def in_order(value: Any) -> tuple[int, float, str]:
    """A key to sort values by: numbers by size, then text, then nothing."""
    if value is None or value != value:
        return 2, 0.0, ""
    return (0, float(value), "") if isinstance(value, (int, float)) else (1, 0.0, str(value))


def by_name(name: Any) -> tuple[int, float, str]:
    """A key to sort samplers and noises by: the usual order, then by name."""
    return (0, float(FIRST.index(name)), "") if name in FIRST else in_order(name)
