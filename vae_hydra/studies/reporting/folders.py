"""What lies in folders of runs: runs, what is damaged of them, and the plans of sweeps."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vae_hydra.base import bounded
from vae_hydra.runs.identity import Leaves, leaves
from vae_hydra.runs.reading import checked_config, named_values


@dataclass(frozen=True)
class PlannedRun:
    """A cell of a sweep's plan.

    Attributes:
        name: of its run, which says what the run is wherever it lies; None if it failed before it had one.
        overrides: the options it was given.
        error: what it failed with, if it did.
        sweep: the plan's folder.
        command: what started the sweep.
        started: when, as ISO time.
        options: dotted path → value of what identifies its run; None where the plan is older than that, or there is no
            run.
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
        """What trains this run alone."""
        return shlex.join(["python", "-m", "vae_hydra.train", *self.overrides])


def find(folders: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """The runs and the plans of sweeps under ``folders``, each once; nothing is looked for inside runs."""
    runs: dict[Path, Path] = {}
    plans: dict[Path, Path] = {}
    for folder in folders:
        for parent, below, names in os.walk(folder):
            below.sort()
            here = Path(parent)
            if "run.json" in names:
                runs.setdefault(here.resolve(), here)
                below.clear()
            elif "plan.json" in names and here.parent.name == "sweeps":
                plans.setdefault(here.resolve(), here / "plan.json")
    return list(runs.values()), list(plans.values())


def read_plan(path: Path) -> list[PlannedRun]:
    """The cells of a sweep's plan.json.

    Raises:
        ValueError: if it is damaged.
    """
    plan = named_values(bounded.read_json(path), path.name)
    try:
        return [
            PlannedRun(
                None if cell.get("run") is None else Path(cell["run"]).name,
                tuple(map(str, cell["overrides"])),
                None if cell.get("error") is None else str(cell["error"]),
                path.parent,
                str(plan.get("command") or ""),
                str(plan.get("started") or ""),
                None if cell.get("options") is None else leaves(checked_config(cell["options"], path.name)),
            )
            for cell in plan["cells"]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: it does not list cells with their overrides ({error!r})") from error


def readable_plans(paths: Iterable[Path]) -> list[list[PlannedRun]]:
    """The plans that can be read, the latest last; of a damaged one its runs are reported, but not what it lacks."""
    plans = [plan for path in paths for plan in _readable_plan(path) if plan]
    return sorted(plans, key=lambda plan: (plan[0].started, str(plan[0].sweep.resolve())))


def _readable_plan(path: Path) -> Iterator[list[PlannedRun]]:
    with contextlib.suppress(Exception):
        yield read_plan(path)
