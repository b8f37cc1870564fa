"""How a sweep ended: what became of each run, in the log, on W&B and in MLflow."""

from __future__ import annotations

import logging
import shlex
from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from vae_hydra.base.durations import duration
from vae_hydra.studies.sweep.plan import CHANGED, Cell

log = logging.getLogger(__name__)


def conclude(folder: Path, cells: Sequence[Cell], seconds: float) -> None:
    """Log what became of the runs and which command reports them.

    Raises:
        SystemExit: with 1 unless all runs are done.
    """
    outcomes = [cell.outcome for cell in cells]
    counts = Counter(status for status, _ in outcomes)
    summary = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    log.info("sweep    %s: %s, in %s", folder, summary, duration(seconds))
    for cell, (status, error) in zip(cells, outcomes, strict=True):
        if status in ("failed", "damaged", CHANGED):
            log.error("%-8s %s: %s", status.upper(), cell.folder or " ".join(cell.overrides), error)
    _log_tables(folder, cells)
    runs = shlex.quote(str(folder.parent.parent))
    # Runs of debug=… stand in no report.
    if not any((cell.options or {}).get("debug") for cell in cells):
        log.info("table    python -m vae_hydra.report %s", runs)
        if any(_lacks_figures(cell.folder) for cell in cells if cell.folder):
            log.info("figures  python -m vae_hydra.figures run=%s show=default", runs)
    if left := len(cells) - counts["done"] - counts[CHANGED]:
        log.warning("start the same command again for the %d that are not done", left)
    if counts["done"] < len(cells):
        raise SystemExit(1)


def _lacks_figures(run: Path) -> bool:
    """Whether a run has examples to be shown, but no pictures of them."""
    return (run / "figures" / "examples.npz").is_file() and not any((run / "figures").glob("*.png"))


def _log_tables(folder: Path, cells: Sequence[Cell]) -> None:
    """Log the table of all runs to W&B and to MLflow, if the runs are logged there."""
    runs = [cell.folder for cell in cells if cell.folder and (cell.folder / "run.json").is_file()]
    for logger, title in (("wandb", "W&B"), ("mlflow", "MLflow")):
        chosen = (cell.config["logger"][logger] for cell in cells if cell.config.get("logger", {}).get(logger))
        options = next(chosen, None)
        if options is None or not runs:
            continue
        try:
            # Imports pandas and the logger's package, which few sweeps need.
            import_module(f"vae_hydra.studies.sweep.{logger}_table").log_table(folder, runs, options)
        except Exception as error:
            # The runs are safe, and the report needs neither.
            log.error("the table could not be logged to %s: %s: %s", title, type(error).__name__, error)
        else:
            log.info("%-8s %s-table, beside the runs of the group %s", title, folder.name, folder.name)
