"""Answers that need no torch: the scores of a finished run, and errors for wrong values."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vae_hydra.base import checks
from vae_hydra.base.command.process import MOST_THREADS
from vae_hydra.data.own_files import present_digest
from vae_hydra.runs.folder import Run
from vae_hydra.runs.partial import is_trial
from vae_hydra.runs.score_table import table

log = logging.getLogger(__name__)


def finished_scores(config: Mapping[str, Any]) -> dict[str, float] | None:
    """Log and return the scores of a run that is done and tested on every noise of ``config``; else None.

    Raises:
        ValueError: if the user's own data have changed since the run was trained.
    """
    run = Run.of(config)
    if is_trial(config) or not run.is_done:
        return None
    check_same_data(run, config["dataset"])
    if run.untested(config):
        return None
    log.info("%s is done already; its test scores\n%s", run.folder, table(run.metrics))
    warn_if_partial(run)
    return run.metrics


def check_same_data(run: Run, dataset: Mapping[str, Any]) -> None:
    """Refuse a table, or a folder of images, that has changed since the run was trained.

    Raises:
        ValueError: if the table has changed, or the names and sizes of the images.
    """
    known = run.record.get("data_digest")
    found = present_digest(dataset) if known else None
    if found and found != known:
        raise ValueError(
            f"dataset.path={dataset['path']} has changed since {run.folder} was trained; train a new run with another "
            "dataset.name, or name the folder of the old data with dataset.root"
        )


def warn_if_partial(run: Run) -> None:
    """Say that a run was cut short, and by which options."""
    partial = run.record.get("partial")
    if partial:
        log.warning(
            "partial  %s cut this run short: it is a trial of the command, and its scores are no results", partial
        )


def refuse_early(config: Mapping[str, Any]) -> None:
    """Refuse values that can be checked without a model, before anything slow is imported.

    Raises:
        ValueError: for a wrong seed, number of threads or batch size, and for an ``init_from`` that does not exist.
    """
    checks.seed("seed", config["seed"])
    checks.boolean("keep_optimizer", config["keep_optimizer"])
    checks.texts("tags", config["tags"])
    checks.positive_integer("dataset.batch_size", config["dataset"].get("batch_size", 1))
    if config["threads"] is not None:
        checks.integer("threads", config["threads"], 1, MOST_THREADS)
    source = config["init_from"]
    if source is not None and not isinstance(source, str):
        raise ValueError(f"init_from must be a run's folder or a checkpoint, but got {source!r}")
    if source and not source.endswith(".ckpt") and not Path(source).expanduser().is_file():
        Run.open(source, "init_from")
