"""Where a run belongs in a pivot: its row, its column and which replicate it is."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from vae_hydra.studies.reporting import options

GROUPS = ("dataset", "noise", "sampler")
ROW = ("dataset.name", "noise.name")
# The order in which samplers and noises are listed; others follow by name.
FIRST = (
    "none",
    "normal",
    "lognormal",
    "inverse_gaussian",
    "student_t",
    "laplace",
    "gamma",
    "weibull",
    "uniform",
    "deterministic",
)


class Keys(NamedTuple):
    """Options that make other cells: of the noise's label, of the sampler's label, and of the row."""

    noise: list[str]
    sampler: list[str]
    row: list[str]


def grouped(keys: Iterable[str]) -> Keys:
    """``keys`` by what they are shown with."""
    keys = list(keys)
    noise, sampler = ([key for key in keys if key.startswith(f"{group}.")] for group in GROUPS[1:])
    return Keys(noise, sampler, [key for key in keys if key not in {*noise, *sampler}])


class Places:
    """Where runs belong in a pivot, by the options of all runs.

    Args:
        known: the options of each run that has a place.

    Attributes:
        compared: those options, held against each other.
    """

    def __init__(self, known: Sequence[options.Leaves]) -> None:
        self.compared = options.Compared(known)
        split = grouped(self.keys)
        self._noise = _Varied(("noise.name",), split.noise, known)
        self._sampler = _Varied(("sampler.name",), split.sampler, known)
        self._row = _Varied(ROW, split.row, known)
        self._short = options.short_names(self.compared.confounders)

    @property
    def keys(self) -> list[str]:
        """Options that make other cells."""
        return self.compared.keys

    @property
    def paths(self) -> list[str]:
        """Every option that has to be known of a run to place it."""
        return [*options.ROLES[:3], "seed", *self.keys, *self.compared.confounders]

    def of(self, own: options.Leaves) -> dict[str, Any]:
        """The columns of the table of results that say where a run belongs.

        Args:
            own: its options; one without some of ``paths`` is known by what there is, and has no cell.
        """
        columns = {
            **{group: own.get(f"{group}.name") for group in GROUPS},
            "seed": own.get("seed"),
            "fold": own.get("dataset.fold"),
            **{key: plain(own.get(key)) for key in self.keys},
        }
        if not own.keys() >= set(self.paths):
            return columns
        confounders = [f"{self._short[path]}={options.text(own, path)}" for path in self.compared.confounders]
        return {
            **columns,
            "noise_label": " ".join(_named(own, "noise", self._noise.of(own))),
            "sampler_label": " ".join([*_named(own, "sampler", self._sampler.of(own)), *confounders]),
            "confounders": " ".join(confounders),
            "options": ", ".join(f"{key}={options.text(own, key)}" for key in self._row.of(own)),
        }


def _named(own: options.Leaves, group: str, keys: Iterable[str]) -> list[str]:
    """``student_t``, ``df=3``: a group's name, and those of its options that have to be said."""
    said = (f"{key.removeprefix(group + '.')}={options.text(own, key)}" for key in keys)
    return [options.text(own, f"{group}.name"), *said]


class _Varied:
    """Which of ``keys`` differ between the runs that are like one of them in the options ``alike``."""

    def __init__(self, alike: Sequence[str], keys: Sequence[str], known: Iterable[options.Leaves]) -> None:
        self._alike, self._keys = alike, keys
        self._found: defaultdict[tuple[tuple[str, ...], str], set[str]] = defaultdict(set)
        for run in known:
            for key in keys:
                self._found[self._like(run), key].add(options.text(run, key))

    def _like(self, run: options.Leaves) -> tuple[str, ...]:
        return tuple(options.text(run, path) for path in self._alike)

    def of(self, own: options.Leaves) -> list[str]:
        """Those of the run with the options ``own``."""
        like = self._like(own)
        return [key for key in self._keys if len(self._found[like, key] | {options.text(own, key)}) > 1]


def plain(value: Any) -> Any:
    """A value that a cell of a table can hold: lists and groups as text."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


def in_order(value: Any) -> tuple[int, float, str]:
    """A key to sort values by: numbers by size, then text, then nothing."""
    if value is None or value != value:
        return 2, 0.0, ""
    return (0, float(value), "") if isinstance(value, (int, float)) else (1, 0.0, str(value))


def by_name(name: Any) -> tuple[int, float, str]:
    """A key to sort samplers and noises by: the usual order, then by name."""
    return (0, float(FIRST.index(name)), "") if name in FIRST else in_order(name)
