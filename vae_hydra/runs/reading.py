"""What could be read of a run's folder, without torch: damage is reported with the run, never raised."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from vae_hydra.base import bounded, checks
from vae_hydra.runs.examples import check_examples
from vae_hydra.runs.identity import Leaves, leaves
from vae_hydra.runs.scoring import standing
from vae_hydra.training.history import read_epochs

STATUSES = ("done", "running", "failed", "interrupted", "pruned")

NAMED = ("dataset", "noise", "sampler")

# What a report shows of a record, and what it has to be.
RECORDED: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("started", "finished", "checkpoint", "error", "id", "git_commit", "partial"), str),
    "seconds_per_epoch": (int, float),
    "scores_version": int,
    "versions": dict,
}

LONGEST_NAME = 200

LARGEST_HISTORY = 64 * 2**20

# Squares of larger scores, and their sums, are not finite.
LARGEST_SCORE = 1e150


@dataclass(frozen=True)
class RunFolder:
    """What could be read of one run.

    Attributes:
        leaves: dotted path → value of what identifies it, from its configuration.
        problem: what is damaged, so that nothing of the run can be used; None if all is well.
        remarks: what is damaged besides, and was left out.
        copies: the same run elsewhere, whose scores it may lack; the fullest first.
    """

    path: Path
    record: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    leaves: Leaves = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    epochs: list[dict[str, float]] = field(default_factory=list)
    evaluations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    problem: str | None = None
    remarks: tuple[str, ...] = ()
    copies: tuple[RunFolder, ...] = ()

    @property
    def status(self) -> str:
        """As run.json says; ``damaged`` where it, the configuration or the scores cannot be read, ``partial`` or
        ``outdated`` where the run does not belong in a table."""
        return "damaged" if self.problem else self._aside[0] if self._aside else self.record["status"]

    @property
    def reason(self) -> str | None:
        """Why the run is damaged, partial or outdated; None where it is not."""
        return self.problem or (self._aside[1] if self._aside else None)

    @property
    def is_set_aside(self) -> bool:
        """Whether it has no place in a table, because it is not comparable with other runs."""
        return self._aside is not None

    @cached_property
    def _aside(self) -> tuple[str, str] | None:
        return None if self.problem else standing(self.config, self.record)


def read_run(path: Path) -> RunFolder:
    """A run's record, configuration, scores, epochs and evaluations; what is damaged is said, not raised."""
    try:
        record, config = _record(path / "run.json"), _config(path / "config.yaml")
        identifying = leaves(config)
        metrics = (
            _scores(bounded.read_json(path / "metrics.json"), "metrics.json") if record["status"] == "done" else {}
        )
    except Exception as error:  # whatever a stranger's file leads to ends with its run
        return RunFolder(path, **_readable_config(path), problem=_one_line(error))
    remarks: list[str] = []
    epochs = _guarded(remarks, lambda: _epochs(path / "metrics.csv")) or []
    files = sorted((path / "evaluations").glob("*.json"))
    evaluations = {file.stem: _guarded(remarks, partial(_evaluation, file)) for file in files}
    readable = {name: evaluation for name, evaluation in evaluations.items() if evaluation is not None}
    _guarded(remarks, lambda: check_examples(path))
    return RunFolder(path, record, config, identifying, metrics, epochs, readable, remarks=tuple(remarks))


def _guarded(remarks: list[str], read: Callable[[], Any]) -> Any:
    """What ``read`` returns; None, and a remark, where it fails."""
    try:
        return read()
    except Exception as error:
        remarks.append(_one_line(error))
        return None


def _group(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is damaged (it holds no names and values)")
    return value


def _record(path: Path) -> dict[str, Any]:
    record = _group(bounded.read_json(path), path.name)
    if record.get("status") not in STATUSES:
        raise ValueError(f"{path.name} is damaged (status {record.get('status')!r})")
    for name, kinds in RECORDED.items():
        if record.get(name) is not None and not isinstance(record[name], kinds):
            raise ValueError(f"{path.name} is damaged ({name} {_short(record[name])})")
    return record


def _config(path: Path) -> dict[str, Any]:
    return _checked(bounded.read_yaml(path), path.name)


def _checked(config: Any, name: str) -> dict[str, Any]:
    groups = [config.get(group) for group in NAMED] if isinstance(config, dict) else [None]
    if not all(isinstance(group, dict) and _is_name(group.get("name")) for group in groups):
        raise ValueError(f"{name} is damaged (it does not name a dataset, a noise and a sampler)")
    source = config.get("init_from")
    if not (source is None or isinstance(source, str)):
        raise ValueError(f"{name} is damaged (init_from {_short(source)})")
    try:
        checks.seed("seed", config.get("seed"))
        if config["dataset"].get("fold") is not None:
            checks.seed("dataset.fold", config["dataset"]["fold"])
    except ValueError as error:
        raise ValueError(f"{name} is damaged ({error})") from error
    return config


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_NAME


def _readable_config(path: Path) -> dict[str, Any]:
    """Configuration and options of a run that is damaged elsewhere."""
    try:
        config = _config(path / "config.yaml")
        return {"config": config, "leaves": leaves(config)}
    except Exception:
        return {}


def _epochs(path: Path) -> list[dict[str, float]]:
    if not path.exists():
        return []
    bounded.check_size(path, LARGEST_HISTORY)
    try:
        epochs = read_epochs(path)
    except csv.Error as error:
        raise ValueError(f"{path.name} is damaged ({error})") from error
    if not all("epoch" in row for row in epochs):
        raise ValueError(f"{path.name} is damaged (it has rows without an epoch)")
    return epochs


def _evaluation(path: Path) -> dict[str, Any]:
    evaluation = _group(bounded.read_json(path), path.name)
    return {**evaluation, "scores": _scores(evaluation.get("scores"), path.name)}


def _scores(values: Any, name: str) -> dict[str, float]:
    if not isinstance(values, dict) or not all(type(value) in (int, float) for value in values.values()):
        raise ValueError(f"{name}: scores are damaged (they are not all numbers)")
    for metric, value in values.items():
        if not _is_name(metric) or "/" not in metric:
            raise ValueError(f"{name}: scores are damaged ({_short(metric)} is no name of a score, such as a/b)")
        if LARGEST_SCORE < abs(value) < math.inf:
            raise ValueError(f"{name}: scores are damaged ({metric} is {value:.3g}, which is too large to average)")
    return {metric: float(value) for metric, value in values.items()}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _one_line(error: Exception) -> str:
    text = str(error) if isinstance(error, (ValueError, OSError)) else repr(error)
    return " ".join(text.split())[:1000]
