"""Runs that a sweep planned and that are not there, as rows of the table of results."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from vae_hydra.base import bounded
from vae_hydra.base.command.overrides import split
from vae_hydra.runs.reading import RunFolder
from vae_hydra.studies.reporting import options
from vae_hydra.studies.reporting.cells import GROUPS, Places
from vae_hydra.studies.reporting.folders import PlannedRun

NAME = re.compile(r"(?P<dataset>\w+)-(?P<noise>\w+)-(?P<sampler>\w+)-s(?P<seed>\d+)-[0-9a-f]{8}")
# What replicates and cells are made of: two cells of a sweep that agree in all else have the same options else.
VARIED = (*GROUPS, "seed", "dataset.fold")
Plan = Sequence[PlannedRun]


def absent(plans: Sequence[Plan], there: Container[str]) -> list[tuple[PlannedRun, Plan]]:
    """The planned runs whose name is not among those ``there``, each once, with the plan that names them last."""
    cells: dict[Any, tuple[PlannedRun, Plan]] = {}
    for plan in plans:
        for cell in plan:
            cells[cell.sweep.parent.resolve(), tuple(sorted(cell.overrides))] = cell, plan
    missing = {}
    for (output, overrides), (cell, plan) in cells.items():
        if cell.name is None or cell.name not in there:
            missing[cell.name or (output, overrides)] = cell, plan
    return list(missing.values())


def missing_row(cell: PlannedRun, plan: Plan, runs: Mapping[str, RunFolder], places: Places) -> dict[str, Any]:
    """The row of a planned run without a folder: ``failed`` with its error if it never came to have one, else
    ``missing``."""
    if cell.options is None:
        own = _guessed(cell, plan, runs, places.paths)
    else:
        own = options.with_roles(cell.options, places.paths)
    return {
        "run": cell.name or "",
        **places.of(own),
        "status": "failed" if cell.error else "missing",
        "error": cell.error,
    }


def options_of_name(name: str) -> dict[str, Any]:
    """Dataset, noise, sampler and seed as a run's name tells them."""
    match = NAME.fullmatch(name)
    if match is None:
        return {}
    return {**{f"{group}.name": match[group] for group in GROUPS}, "seed": int(match["seed"])}


def _guessed(cell: PlannedRun, plan: Plan, runs: Mapping[str, RunFolder], paths: Sequence[str]) -> dict[str, Any]:
    """What an older plan tells of the options of a run that is not there: by its overrides, by its name, and by the
    runs of its sweep that were given the same ones but for dataset, noise, sampler, seed and fold."""
    given = _given(cell)
    known = {path: given[path] for path in (*options.ROLES, *paths) if path in given}
    known |= options_of_name(cell.name) if cell.name else {}
    siblings = list(_siblings(cell, plan, runs))
    for path in {*options.ROLES, *paths} - known.keys():
        if len({options.text(sibling, path) for sibling in siblings}) == 1:
            known[path] = options.value(siblings[0], path)
    return known


def _siblings(cell: PlannedRun, plan: Plan, runs: Mapping[str, RunFolder]) -> Iterator[options.Leaves]:
    alike = _beyond_cells(cell)
    for other in plan:
        run = runs.get(other.name) if other.name else None
        if run and run.leaves and _beyond_cells(other) == alike:
            yield run.leaves


def _beyond_cells(cell: PlannedRun) -> frozenset[str]:
    return frozenset(entry for entry in cell.overrides if split(entry)[0] not in VARIED)


def _given(cell: PlannedRun) -> dict[str, Any]:
    """Path → value of overrides; a group's option stands for its name."""
    given = {}
    for entry in cell.overrides:
        path, text = split(entry)
        with contextlib.suppress(ValueError):
            value = bounded.parse_yaml(text, "an override")
            given[path if "." in path or path == "seed" else f"{path}.name"] = value
    return given
