"""The cells of a sweep, one a run, and the plan that lists them."""

from __future__ import annotations

import difflib
import json
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vae_hydra.base import nested
from vae_hydra.base.files import remove_leftovers, replace_atomically
from vae_hydra.runs.finished import check_same_data
from vae_hydra.runs.folder import Run

PLAN = "plan.json"
# Groups of a run's configuration that the sweep needs after planning.
KEPT = ("noise", "test_noises", "classifier", "logger", "dataset")
# Statuses of a run whose job could not record its error.
UNFINISHED = ("missing", "running")
# The status of a finished run whose table or images have changed since: another start does not help.
CHANGED = "of changed data"


@dataclass(slots=True)
class Cell:
    """One run of a sweep, or the reason why it cannot be trained.

    Attributes:
        overrides: the run's part of the command line and of the grid.
        config: the ``KEPT`` groups of its configuration.
        options: its identifying options.
        folder: its folder; None if there is no configuration.
        error: why there is no configuration.
        raised: the error that ended its job; needed where the run's folder could not be written.
    """

    overrides: list[str]
    config: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] | None = None
    folder: Path | None = None
    error: str | None = None
    raised: str | None = None

    @property
    def outcome(self) -> tuple[str, str | None]:
        """The run's status and error so far; it is ``done`` only if no score is missing."""
        if self.folder is None:
            return "failed", self.error
        run = Run(self.folder)
        try:
            if run.is_done:
                try:
                    check_same_data(run, self.config["dataset"])
                except ValueError as changed:
                    return CHANGED, str(changed)
                return ("not tested on every noise" if run.untested(self.config) else "done"), None
            status, error = run.record.get("status", "missing"), run.record.get("error")
            return ("failed", self.raised) if self.raised and status in UNFINISHED else (status, error)
        except ValueError as error:
            return "damaged", str(error)


def check_known(
    runs: Sequence[Sequence[str]], unknown: Mapping[str, Sequence[int]], lacking: Mapping[str, Mapping[str, Any]]
) -> None:
    """Refuse an option that none of its runs has.

    Args:
        runs: the overrides of each run.
        unknown: option → numbers of the runs that lack it.
        lacking: option → configuration of one such run.

    Raises:
        ValueError: for the first such option.
    """
    for key, numbers in unknown.items():
        given = (number for number, overrides in enumerate(runs) if any(o.startswith(f"{key}=") for o in overrides))
        if set(numbers).issuperset(given):
            alike = difflib.get_close_matches(key, [path for path, _ in nested.walk(lacking[key])], n=1)
            advice = f"did you mean {alike[0]}?" if alike else "--cfg job lists the options"
            raise ValueError(f"no run of this sweep has an option {key}; {advice}")


def write_plan(folder: Path, cells: Sequence[Cell]) -> None:
    """Write plan.json: the command and, for every cell, its run's name, overrides, identifying options and error."""
    command = shlex.join(["python", "-m", "vae_hydra.train", *sys.argv[1:]])
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    head = json.dumps({"sweep": folder.name, "started": started, "command": command}, ensure_ascii=False)

    def write(path: Path) -> None:
        # One line a run, written one at a time: the whole text may not fit into memory.
        with path.open("w", encoding="utf-8") as file:
            file.write(f'{head[:-1]}, "cells": [')
            file.writelines(f"{',' if i else ''}\n{_as_json(cell)}" for i, cell in enumerate(cells))
            file.write("\n]}\n")

    remove_leftovers(folder)
    replace_atomically(folder / PLAN, write)


def _as_json(cell: Cell) -> str:
    run = cell.folder.name if cell.folder else None
    entry = {"run": run, "overrides": cell.overrides, "options": cell.options, "error": cell.error}
    return json.dumps(entry, ensure_ascii=False)
