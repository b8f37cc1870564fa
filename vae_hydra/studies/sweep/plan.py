"""The runs that a sweep is made of: what is typed for each, what became of it, and the plan that lists them."""

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

PLAN = "plan.json"
# Groups of a run's configuration that the sweep looks at again once it is planned.
KEPT = ("noise", "test_noises", "classifier", "logger")
# What the folder of a run says whose job has not said more.
UNFINISHED = ("missing", "running")


@dataclass(slots=True)
class Cell:
    """One run of a sweep, or why it can be none.

    Attributes:
        overrides: what is typed for it.
        config: the groups of its configuration that are ``KEPT``.
        options: what makes it another run than others.
        folder: where it is; None if its configuration is none.
        error: why it has no folder.
        raised: the error that its job ended with, for a run whose folder could not be written to say so.
    """

    overrides: list[str]
    config: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] | None = None
    folder: Path | None = None
    error: str | None = None
    raised: str | None = None

    @property
    def outcome(self) -> tuple[str, str | None]:
        """What came of the run so far: its status, ``done`` only with nothing left to score, and its error."""
        if self.folder is None:
            return "failed", self.error
        from vae_hydra.runs.folder import Run

        run = Run(self.folder)
        try:
            if run.is_done:
                return ("not tested on every noise" if run.untested(self.config) else "done"), None
            status, error = run.record.get("status", "missing"), run.record.get("error")
            return ("failed", self.raised) if self.raised and status in UNFINISHED else (status, error)
        except ValueError as error:
            return "damaged", str(error)


def check_known(
    every: Sequence[Sequence[str]], unknown: Mapping[str, Sequence[int]], lacking: Mapping[str, Mapping[str, Any]]
) -> None:
    """Refuse an option that is given to runs none of which has it.

    Args:
        every: what is typed for each run.
        unknown: by option, the numbers of the runs that do not have it.
        lacking: by option, the configuration of one of them.

    Raises:
        ValueError: for the first such option.
    """
    for key, numbers in unknown.items():
        given = (number for number, overrides in enumerate(every) if any(o.startswith(f"{key}=") for o in overrides))
        if set(numbers).issuperset(given):
            alike = difflib.get_close_matches(key, [path for path, _ in nested.walk(lacking[key])], n=1)
            advice = f"did you mean {alike[0]}?" if alike else "--cfg job lists the options"
            raise ValueError(f"no run of this sweep has an option {key}; {advice}")


def write_plan(folder: Path, cells: Sequence[Cell]) -> None:
    """Write plan.json: the command and, for every cell, its overrides, the name of its run and what makes it another
    run than others; or why it is none."""
    command = shlex.join(["python", "-m", "vae_hydra.train", *sys.argv[1:]])
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    head = json.dumps({"sweep": folder.name, "started": started, "command": command}, ensure_ascii=False)

    def write(path: Path) -> None:
        # A line a run, one at a time: together they may be more than fits into memory.
        with path.open("w", encoding="utf-8") as file:
            file.write(f'{head[:-1]}, "cells": [')
            file.writelines(f"{',' if i else ''}\n{_described(cell)}" for i, cell in enumerate(cells))
            file.write("\n]}\n")

    remove_leftovers(folder)
    replace_atomically(folder / PLAN, write)


def _described(cell: Cell) -> str:
    run = cell.folder.name if cell.folder else None
    described = {"run": run, "overrides": cell.overrides, "options": cell.options, "error": cell.error}
    return json.dumps(described, ensure_ascii=False)
