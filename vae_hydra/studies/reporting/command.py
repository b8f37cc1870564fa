"""Tables, figures and a page of finished runs: ``python -m vae_hydra.report outputs``."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pandas as pd

from vae_hydra.base.command.output import check_output
from vae_hydra.studies.reporting.pivots import measured, pivot
from vae_hydra.studies.reporting.results import collect
from vae_hydra.studies.reporting.tables import markdown
from vae_hydra.studies.reporting.write import check_replaceable, write_report

log = logging.getLogger(__name__)


def report(config: Mapping[str, Any]) -> Path:
    """Write results.csv, tables, figures and report.html; print the first table and the paths.

    Args:
        config: resolved configuration, as ``conf/report.yaml`` composes it.

    Returns:
        The report's folder.

    Raises:
        ValueError: if no folder is given, the folders hold no runs, no run has any of the metrics, or the report's
            folder is inside a run.
    """
    folders = config["folders"]
    if not isinstance(folders, list) or not all(isinstance(folder, str) and folder for folder in folders):
        raise ValueError(f"folders must be a list of folders, but got {folders!r}")
    results = collect(folders)
    output = _output(config["output"], [Path(folder).expanduser() for folder in folders])
    pivots = [pivot(results.frame, metric, config["level"]) for metric in _chosen(config["metrics"], results.frame)]
    page = write_report(output, results, pivots, [Path(folder) for folder in folders])
    counts = results.frame["status"].value_counts()
    if pivots:
        log.info("%s", markdown(pivots[0]))
    log.info("runs     %s", ", ".join(f"{count} {status}" for status, count in counts.items()))
    for run in results.runs:
        if run.reason:
            log.info("%-8s %s: %s", run.status, run.path.name, run.reason)
    for path in [output / "results.csv", output / "tables.md", page]:
        log.info("written  %s", path)
    return output


def _chosen(patterns: Any, frame: pd.DataFrame) -> list[str]:
    """The metrics that match ``patterns``, in their order; patterns without a match are logged.

    Raises:
        ValueError: if there are runs with scores, and no pattern matches.
    """
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
        raise ValueError(f"metrics must be a list of names, but got {patterns!r}")
    if not patterns:
        raise ValueError("metrics must be a list of at least one name; metrics=['*'] takes all there are")
    present = measured(frame)
    found = {pattern: [name for name in present if _matches(name, pattern)] for pattern in patterns}
    absent = [pattern for pattern, names in found.items() if not names]
    if present and len(absent) == len(patterns):
        raise ValueError(f"metrics: no run has any of {', '.join(patterns)}; there are {', '.join(present)}")
    if present and absent:
        log.info("no run has %s", ", ".join(absent))
    return list(dict.fromkeys(name for names in found.values() for name in names))


def _matches(name: str, pattern: str) -> bool:
    """Whether a metric matches, with or without the name of an evaluation before its own."""
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"*/{pattern}")


def _output(option: Any, folders: Sequence[Path]) -> Path:
    """The report's folder, which is never inside a run: a report changes no run."""
    if option is not None and not (isinstance(option, str) and option):
        raise ValueError(f"output must be a folder, but got {option!r}")
    output = Path(option).expanduser() if option else _usual_output(folders)
    run = next((folder for folder in [output, *output.resolve().parents] if (folder / "run.json").exists()), None)
    if run is not None:
        raise ValueError(f"output={output} is inside the run {run}, which is only read; give another folder")
    check_replaceable(output, f"output={output}")
    check_output(output, f"output={output}")
    return output


def _usual_output(folders: Sequence[Path]) -> Path:
    """``report`` in the first folder; beside a run, with a digest, so that the report of all runs there stays."""
    first = folders[0].resolve()
    if not (first / "run.json").exists():
        return folders[0] / "report"
    named = "\0".join(sorted({str(folder.resolve()) for folder in folders}))
    return first.parent / f"report-{hashlib.sha256(named.encode()).hexdigest()[:8]}"
