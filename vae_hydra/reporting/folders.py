"""What lies in folders of runs: runs, what is damaged of them, and the plans of sweeps."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from vae_hydra.history import read_epochs

STATUSES = ("done", "running", "failed", "interrupted", "pruned")
NAMED = ("dataset", "noise", "sampler")


@dataclass(frozen=True)
class RunFolder:
    """What could be read of one run.

    Attributes:
        problem: what is damaged, so that nothing of the run can be used; None if all is well.
        remarks: what is damaged besides, and was left out.
        copies: the same run elsewhere, whose scores it may lack; the fullest first.
    """

    path: Path
    record: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    epochs: list[dict[str, float]] = field(default_factory=list)
    evaluations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    problem: str | None = None
    remarks: tuple[str, ...] = ()
    copies: tuple[RunFolder, ...] = ()

    @property
    def status(self) -> str:
        """As run.json says; ``damaged`` where it, the configuration or the scores cannot be read."""
        return "damaged" if self.problem else self.record["status"]


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
        options: what identifies its run; None where the plan is older than that, or there is no run.
    """

    name: str | None
    overrides: tuple[str, ...]
    error: str | None
    sweep: Path
    command: str
    started: str = ""
    options: Mapping[str, Any] | None = None

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


def read_run(path: Path) -> RunFolder:
    """A run's record, configuration, scores, epochs and evaluations; what is damaged is said, not raised."""
    try:
        record, config = _record(path / "run.json"), _config(path / "config.yaml")
        metrics = _scores(_json(path / "metrics.json")) if record["status"] == "done" else {}
    except (OSError, ValueError, OverflowError) as error:
        return RunFolder(path, config=_readable_config(path), problem=_one_line(error))
    remarks = []
    epochs: list[dict[str, float]] = []
    evaluations = {}
    try:
        epochs = read_epochs(path / "metrics.csv")
    except (OSError, ValueError) as error:
        remarks.append(_one_line(error))
    for file in sorted((path / "evaluations").glob("*.json")):
        try:
            evaluation = _json(file)
            evaluations[file.stem] = {**evaluation, "scores": _scores(evaluation.get("scores"))}
        except (OSError, ValueError, OverflowError) as error:
            remarks.append(f"{file.name}: {_one_line(error)}")
    return RunFolder(path, record, config, metrics, epochs, evaluations, remarks=tuple(remarks))


def read_plan(path: Path) -> list[PlannedRun]:
    """The cells of a sweep's plan.json.

    Raises:
        ValueError: if it is damaged.
    """
    plan = _json(path)
    try:
        return [
            PlannedRun(
                None if cell.get("run") is None else Path(cell["run"]).name,
                tuple(map(str, cell["overrides"])),
                None if cell.get("error") is None else str(cell["error"]),
                path.parent,
                str(plan.get("command") or ""),
                str(plan.get("started") or ""),
                None if cell.get("options") is None else _checked(cell["options"], path.name),
            )
            for cell in plan["cells"]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: it does not list cells with their overrides ({error!r})") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path.name} is damaged ({error})") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} is damaged (it holds no names and values)")
    return value


def _record(path: Path) -> dict[str, Any]:
    record = _json(path)
    if record.get("status") not in STATUSES:
        raise ValueError(f"{path.name} is damaged (status {record.get('status')!r})")
    return record


def _config(path: Path) -> dict[str, Any]:
    # The parser in C reads the files of a large sweep in a fraction of the time.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        config = yaml.load(path.read_text(encoding="utf-8"), loader)
    except yaml.YAMLError as error:
        raise ValueError(f"{path.name} is damaged ({error})") from error
    return _checked(config, path.name)


def _checked(config: Any, name: str) -> dict[str, Any]:
    groups = [config.get(group) for group in NAMED] if isinstance(config, dict) else [None]
    if not all(isinstance(group, dict) and isinstance(group.get("name"), str) for group in groups):
        raise ValueError(f"{name} is damaged (it does not name a dataset, a noise and a sampler)")
    fold = config["dataset"].get("fold")
    if type(config.get("seed")) is not int or not (fold is None or type(fold) is int):
        raise ValueError(f"{name} is damaged (seed and dataset.fold are not integers)")
    return config


def _readable_config(path: Path) -> dict[str, Any]:
    try:
        return _config(path / "config.yaml")
    except (OSError, ValueError):
        return {}


def _scores(values: Any) -> dict[str, float]:
    if not isinstance(values, dict) or not all(type(value) in (int, float) for value in values.values()):
        raise ValueError("scores are damaged (they are not all numbers)")
    return {str(name): float(value) for name, value in values.items()}


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def readable_plans(paths: Iterable[Path]) -> list[list[PlannedRun]]:
    """The plans that can be read, the latest last; of a damaged one its runs are reported, but not what it lacks."""
    plans = [plan for path in paths for plan in _readable_plan(path) if plan]
    return sorted(plans, key=lambda plan: (plan[0].started, str(plan[0].sweep.resolve())))


def _readable_plan(path: Path) -> Iterator[list[PlannedRun]]:
    with contextlib.suppress(OSError, ValueError):
        yield read_plan(path)
