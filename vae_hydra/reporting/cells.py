"""Where a run belongs in a pivot: its row, its column and which replicate it is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from vae_hydra.reporting import options

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


def cell_of(own: options.Leaves, keys: Sequence[str], known: Sequence[options.Leaves]) -> dict[str, Any]:
    """The columns of the table of results that say where a run belongs.

    Args:
        own: its options; if ``keys`` or a name are not among them, it is known by what there is, and has no cell.
        keys: options that make other cells.
        known: the options of all runs.
    """
    columns = {
        **{group: own.get(f"{group}.name") for group in GROUPS},
        "seed": own.get("seed"),
        "fold": own.get("dataset.fold"),
        **{key: plain(own.get(key)) for key in keys},
    }
    if not {*options.ROLES[:3], "seed", *keys} <= own.keys():
        return columns
    split = grouped(keys)
    return {
        **columns,
        "noise_label": _label(own, "noise", split.noise, known),
        "sampler_label": _label(own, "sampler", split.sampler, known),
        "options": ", ".join(f"{key}={options.text(own, key)}" for key in _differing(own, ROW, split.row, known)),
    }


def _label(own: options.Leaves, group: str, keys: Iterable[str], known: Sequence[options.Leaves]) -> str:
    """``student_t df=3``: a group's name and those of its keys that differ between runs of that name."""
    differing = _differing(own, (f"{group}.name",), keys, known)
    return " ".join(
        [
            options.text(own, f"{group}.name"),
            *(f"{key.removeprefix(group + '.')}={options.text(own, key)}" for key in differing),
        ]
    )


def _differing(
    own: options.Leaves, alike: Iterable[str], keys: Iterable[str], known: Sequence[options.Leaves]
) -> list[str]:
    """Those of ``keys`` that differ between runs that are like this one in ``alike``."""
    alike = list(alike)
    like = [run for run in known if all(options.text(run, path) == options.text(own, path) for path in alike)]
    return [key for key in keys if len({options.text(run, key) for run in [own, *like]}) > 1]


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
