"""The plans of sweeps, and the rows of planned runs that are missing."""

from __future__ import annotations

import contextlib
import logging
import re
import shlex
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_hydra.base import bounded
from vae_hydra.runs.identity import Leaves
from vae_hydra.runs.reading import RunFolder, checked_config, identifying_leaves, named_values
from vae_hydra.studies.reporting.cells import GROUPS, Places
from vae_hydra.studies.reporting.options import ROLES, value, value_text, with_roles

log = logging.getLogger(__name__)

# A cell has 200 values in 9 kB; these are some 20,000 of them.
LARGEST_PLAN, MOST_VALUES = 256 * 2**20, 5_000_000
NAME = re.compile(r"(?P<dataset>\w+)-(?P<noise>\w+)-(?P<sampler>\w+)-s(?P<seed>\d+)-[0-9a-f]{8}")
# The options of cells and replicates: cells of a sweep with the same other overrides have the same other options.
VARIED = (*GROUPS, "seed", "dataset.fold")


@dataclass(frozen=True)
class PlannedRun:
    """A cell of a sweep's plan.

    Attributes:
        name: the name of its run, the same wherever the run lies; None if it failed before it had one.
        overrides: its overrides.
        error: the error it failed with, if any.
        sweep: the plan's folder.
        command: the command that started the sweep.
        started: when the sweep was started, as ISO time.
        options: dotted path → value of its identifying options; None in plans of older versions, or without a run.
    """

    name: str | None
    overrides: tuple[str, ...]
    error: str | None
    sweep: Path
    command: str
    started: str = ""
    options: Leaves | None = None

    @property
    def training_command(self) -> str:
        """The command that trains this run alone."""
        return shlex.join(["python", "-m", "vae_hydra.train", *self.overrides])


Plan = Sequence[PlannedRun]


def read_plan(path: Path) -> list[PlannedRun]:
    """The cells of a sweep's plan.json.

    Raises:
        ValueError: if it is damaged.
    """
    plan = named_values(bounded.read_json(path, LARGEST_PLAN, MOST_VALUES), path.name)
    try:
        return [
            PlannedRun(
                None if cell.get("run") is None else Path(cell["run"]).name,
                tuple(map(str, cell["overrides"])),
                None if cell.get("error") is None else str(cell["error"]),
                path.parent,
                str(plan.get("command") or ""),
                str(plan.get("started") or ""),
                None if cell.get("options") is None else identifying_leaves(checked_config(cell["options"], path.name)),
            )
            for cell in plan["cells"]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: it does not list cells with their overrides ({error!r})") from error


def readable_plans(paths: Iterable[Path]) -> list[list[PlannedRun]]:
    """The plans that can be read, the latest last; for a damaged one, missing runs cannot be reported."""
    plans = [plan for path in paths for plan in _readable_plan(path) if plan]
    return sorted(plans, key=lambda plan: (plan[0].started, str(plan[0].sweep.resolve())))


def _readable_plan(path: Path) -> Iterator[list[PlannedRun]]:
    try:
        yield read_plan(path)
    except Exception as error:
        log.warning("plan     %s cannot be read, so its missing runs are not reported: %s", path, error)


def absent(plans: Sequence[Plan], present: Container[str]) -> list[tuple[PlannedRun, Plan]]:
    """The planned runs whose name is not in ``present``, each once, with the last plan that names it."""
    cells: dict[Any, tuple[PlannedRun, Plan]] = {}
    for plan in plans:
        for cell in plan:
            cells[cell.sweep.parent.resolve(), tuple(sorted(cell.overrides))] = cell, plan
    missing = {}
    for (output, overrides), (cell, plan) in cells.items():
        if cell.name is None or cell.name not in present:
            missing[cell.name or (output, overrides)] = cell, plan
    return list(missing.values())


def missing_row(cell: PlannedRun, plan: Plan, runs: Mapping[str, RunFolder], places: Places) -> dict[str, Any]:
    """The row of a planned run without a folder: ``failed`` if the plan has an error for it, else ``missing``."""
    paths = places.paths
    known = _guessed(cell, plan, runs, paths) if cell.options is None else with_roles(cell.options, paths)
    return {
        "run": cell.name or "",
        **places.columns(known),
        "status": "failed" if cell.error else "missing",
        "error": cell.error,
    }


def options_of_name(name: str) -> dict[str, Any]:
    """Dataset, noise, sampler and seed, read from a run's name."""
    match = NAME.fullmatch(name)
    if match is None:
        return {}
    return {**{f"{group}.name": match[group] for group in GROUPS}, "seed": int(match["seed"])}


def _guessed(cell: PlannedRun, plan: Plan, runs: Mapping[str, RunFolder], paths: Sequence[str]) -> dict[str, Any]:
    """The options of a missing run as far as a plan of an older version tells them.

    Sources are its overrides, its name, and the runs of its sweep whose overrides differ in dataset, noise, sampler,
    seed and fold alone.
    """
    given = _given(cell)
    known = {path: given[path] for path in (*ROLES, *paths) if path in given}
    known |= options_of_name(cell.name) if cell.name else {}
    siblings = list(_siblings(cell, plan, runs))
    for path in {*ROLES, *paths} - known.keys():
        if len({value_text(sibling, path) for sibling in siblings}) == 1:
            known[path] = value(siblings[0], path)
    return known


def _siblings(cell: PlannedRun, plan: Plan, runs: Mapping[str, RunFolder]) -> Iterator[Leaves]:
    alike = _beyond_cells(cell)
    for other in plan:
        run = runs.get(other.name) if other.name else None
        if run and run.leaves and _beyond_cells(other) == alike:
            yield run.leaves


def _beyond_cells(cell: PlannedRun) -> frozenset[str]:
    return frozenset(entry for entry in cell.overrides if entry.lstrip("+").partition("=")[0] not in VARIED)


def _given(cell: PlannedRun) -> dict[str, Any]:
    """Path → value of the overrides; the choice of a group becomes the value of its name."""
    given = {}
    for entry in cell.overrides:
        path, _, text = entry.lstrip("+").partition("=")
        with contextlib.suppress(ValueError):
            parsed = bounded.parse_yaml(text, "an override")
            given[path if "." in path or path == "seed" else f"{path}.name"] = parsed
    return given
