"""Readers of a run's files, and ``read_run``, which reports damage instead of raising. No torch.

Each reader raises ValueError with the file's name and its defect. Files may come from anyone: they are read within the
limits of ``base.bounded``.
"""

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
from vae_hydra.runs.upgrade import upgrade
from vae_hydra.training.history import read_epochs

STATUSES = ("done", "running", "failed", "interrupted", "pruned")
# Groups that give a run its name.
NAMED = ("dataset", "noise", "sampler")
# Entries of a record → their types.
RECORDED: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("started", "finished", "checkpoint", "error", "id", "git_commit", "partial", "data_digest"), str),
    "seconds_per_epoch": (int, float),
    "scores_version": int,
    "stacked": int,
    "devices": int,
    "versions": dict,
    "tags": list,
}
# Options of ``generation`` that older evaluations did not record, and what they did.
LATER_GENERATION: dict[str, Any] = {"kernel_examples": 2000, "tail_level": 0.95, "tail_threshold": None}
LONGEST_NAME = 200
CONTENT = "dataset.content"
LARGEST_HISTORY = 64 * 2**20
# Squares of larger scores, and their sums, are not finite.
LARGEST_SCORE = 1e150


@dataclass(frozen=True)
class RunFolder:
    """The readable part of one run.

    Attributes:
        leaves: dotted path → value of its identifying options.
        problem: the damage that makes the run unusable; None if there is none.
        remarks: further damage; the files concerned are left out.
        copies: the same run in other folders, which may have scores that this one lacks; the fullest first.
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
        """The status in run.json; ``damaged`` if the record, the configuration or the scores cannot be read;
        ``partial`` or ``outdated`` if the run is not comparable with others."""
        return "damaged" if self.problem else self._aside[0] if self._aside else self.record["status"]

    @property
    def reason(self) -> str | None:
        """Why the run is damaged, partial or outdated; None where it is not."""
        return self.problem or (self._aside[1] if self._aside else None)

    @property
    def is_set_aside(self) -> bool:
        """Whether the run is left out of tables, because it is not comparable with others."""
        return self._aside is not None

    @cached_property
    def _aside(self) -> tuple[str, str] | None:
        return None if self.problem else standing(self.config, self.record)


def read_run(path: Path) -> RunFolder:
    """A run's record, configuration, scores, epochs and evaluations; damage is reported, not raised."""
    try:
        record, config = read_record(path / "run.json"), read_config(path / "config.yaml")
        identifying = {**identifying_leaves(config), **_content(record)}
        scores = read_scores(path / "metrics.json") if record["status"] == "done" else {}
        metrics = _averageable(scores, "metrics.json")
    except Exception as error:  # a stranger's file must not end the report
        return RunFolder(path, **_readable_config(path), problem=_one_line(error))
    remarks: list[str] = []
    epochs = _guarded(remarks, lambda: _epochs(path / "metrics.csv")) or []
    files = sorted((path / "evaluations").glob("*.json"))
    evaluations = {file.stem: _guarded(remarks, partial(_evaluation, file)) for file in files}
    readable = {name: evaluation for name, evaluation in evaluations.items() if evaluation is not None}
    _guarded(remarks, lambda: check_examples(path))
    return RunFolder(path, record, config, identifying, metrics, epochs, readable, remarks=tuple(remarks))


def _content(record: Mapping[str, Any]) -> dict[str, str]:
    """What tells runs apart whose file has the same place, but not the same content."""
    digest = record.get("data_digest")
    return {CONTENT: digest[:8]} if digest else {}


def _division(config: Mapping[str, Any]) -> dict[str, bool]:
    """What tells runs of folds, which are averaged, from runs on the test set."""
    dataset = config.get("dataset")
    return {"dataset.in_folds": True} if isinstance(dataset, Mapping) and dataset.get("fold") is not None else {}


def identifying_leaves(options: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted path → value of the options that tell runs apart in a report."""
    return {**leaves(options), **_division(options)}


def _guarded(remarks: list[str], read: Callable[[], Any]) -> Any:
    """The result of ``read``; None, and a remark, where it fails."""
    try:
        return read()
    except Exception as error:
        remarks.append(_one_line(error))
        return None


def named_values(value: Any, name: str) -> dict[str, Any]:
    """``value`` if it is a mapping; ``name`` is the file that it comes from."""
    if not isinstance(value, dict):
        raise ValueError(f"{name} is damaged (it holds no names and values)")
    return value


def read_record(path: Path) -> dict[str, Any]:
    """The content of run.json."""
    record = named_values(_existing(bounded.read_json, path), path.name)
    if record.get("status") not in STATUSES:
        raise ValueError(f"{path.name} is damaged (status {record.get('status')!r})")
    for name, kinds in RECORDED.items():
        if record.get(name) is not None and not isinstance(record[name], kinds):
            raise ValueError(f"{path.name} is damaged ({name} {_short(record[name])})")
    return record


def read_config(path: Path) -> dict[str, Any]:
    """The content of config.yaml in today's terms."""
    return upgrade(checked_config(_existing(bounded.read_yaml, path), path.name))


def read_scores(path: Path) -> dict[str, float]:
    """The content of metrics.json."""
    return _numbers(_existing(bounded.read_json, path), path.name)


def _existing(read: Callable[[Path], Any], path: Path) -> Any:
    if not path.exists():
        raise ValueError(f"{path.name} is damaged (it is missing)")
    return read(path)


def checked_config(config: Any, name: str) -> dict[str, Any]:
    """``config`` if it has the options in a run's name; ``name`` is the file that it comes from."""
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
    """Configuration and leaves of a run that is damaged elsewhere, as arguments of RunFolder."""
    try:
        config = read_config(path / "config.yaml")
        return {"config": config, "leaves": identifying_leaves(config)}
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
    evaluation = named_values(bounded.read_json(path), path.name)
    if isinstance(generation := evaluation.get("generation"), dict):
        evaluation["generation"] = {**LATER_GENERATION, **generation}
    return {**evaluation, "scores": _averageable(_numbers(evaluation.get("scores"), path.name), path.name)}


def _numbers(values: Any, name: str) -> dict[str, float]:
    if not isinstance(values, dict) or not all(type(value) in (int, float) for value in values.values()):
        raise ValueError(f"{name} is damaged (its scores are not all numbers)")
    return values


def _averageable(scores: Mapping[str, float], name: str) -> dict[str, float]:
    """``scores`` as floats, if a table can hold them."""
    for metric, value in scores.items():
        if not _is_name(metric) or "/" not in metric:
            raise ValueError(f"{name} is damaged ({_short(metric)} is no name of a score, such as a/b)")
        if LARGEST_SCORE < abs(value) < math.inf:
            raise ValueError(f"{name} is damaged ({metric} is {value:.3g}, which is too large to average)")
    return {metric: float(value) for metric, value in scores.items()}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def _one_line(error: Exception) -> str:
    text = str(error) if isinstance(error, (ValueError, OSError)) else repr(error)
    return " ".join(text.split())[:1000]
