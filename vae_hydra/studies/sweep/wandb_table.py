"""The table of a sweep on W&B, as a W&B run in the sweep's group."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# W&B takes a figure apart with it, and does not import it.
import matplotlib.pyplot  # noqa: F401
import wandb

from vae_hydra.base import checks
from vae_hydra.studies.reporting import as_frame, collect, pivot
from vae_hydra.studies.reporting.compared import compared
from vae_hydra.studies.reporting.pivots import measured
from vae_hydra.studies.reporting.write import draw

# Metrics with a pivot, where runs have them.
METRICS = ("reconstruct/clean/half_sse", "denoise/own/half_sse", "reconstruct/clean/elbo", "reconstruct/clean/kl")


def log_table(folder: Path, runs: Sequence[Path], options: Mapping[str, Any]) -> None:
    """Log the results of ``runs``, their pivots and a report's figures as the W&B run ``<sweep>-table``.

    Logging again continues the same W&B run.

    Args:
        folder: the sweep's folder; its name is the group, and W&B keeps its files there.
        runs: folders of the sweep's runs.
        options: ``project``, ``entity`` and ``offline`` as conf/logger/wandb.yaml has them.
    """
    results = collect([folder, *runs], with_debug=True)
    found = set(measured(results.frame))
    pivots = [pivot(results.frame, metric) for metric in METRICS if metric in found]
    table = results.frame.astype(object).where(results.frame.notna(), None)
    content: dict[str, Any] = {"results": wandb.Table(dataframe=table)}
    content |= {f"tables/{p.metric}": wandb.Table(dataframe=as_frame(p)) for p in pivots}
    drawn = draw(results, pivots, compared(results.frame))
    content |= {f"figures/{one.name}": wandb.Image(one.figure, caption=one.caption) for one in drawn}
    # Sweeps of one name in several folders are several W&B runs.
    place = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]
    with wandb.init(
        project=options["project"],
        entity=options["entity"],
        mode="offline" if checks.boolean("logger.wandb.offline", options["offline"]) else "online",
        group=folder.name,
        name=f"{folder.name}-table",
        id=f"{folder.name}-table-{place}",
        job_type="table",
        # W&B's own process may have been started elsewhere.
        dir=folder.resolve(),
        resume="allow",
    ) as run:
        run.log(content)
