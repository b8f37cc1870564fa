"""The table of a sweep on W&B, as a W&B run in the sweep's group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# W&B takes a figure apart with it, and does not import it.
import matplotlib.pyplot  # noqa: F401
import wandb

from vae_hydra.base import checks
from vae_hydra.studies.sweep.logged_table import sweep_table, table_id


def log_table(folder: Path, runs: Sequence[Path], options: Mapping[str, Any]) -> None:
    """Log the results of ``runs``, their pivots and a report's figures as the W&B run ``<sweep>-table``.

    Logging again continues the same W&B run.

    Args:
        folder: the sweep's folder; its name is the group, and W&B keeps its files there.
        runs: folders of the sweep's runs.
        options: ``project``, ``entity`` and ``offline`` as conf/logger/wandb.yaml has them.
    """
    table = sweep_table(folder, runs)
    content: dict[str, Any] = {"results": wandb.Table(dataframe=table.results)}
    content |= {f"tables/{metric}": wandb.Table(dataframe=frame) for metric, frame in table.pivots.items()}
    content |= {f"figures/{one.name}": wandb.Image(one.figure, caption=one.caption) for one in table.figures}
    with wandb.init(
        project=options["project"],
        entity=options["entity"],
        mode="offline" if checks.boolean("logger.wandb.offline", options["offline"]) else "online",
        group=folder.name,
        name=f"{folder.name}-table",
        id=table_id(folder),
        job_type="table",
        # W&B's own process may have been started elsewhere.
        dir=folder.resolve(),
        resume="allow",
        settings={"silent": True, "quiet": True},
    ) as run:
        run.log(content)
