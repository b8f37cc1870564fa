"""The table of a sweep in MLflow, as the parent of the sweep's runs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vae_hydra.runs.folder import Run
from vae_hydra.studies.sweep.logged_table import sweep_table, table_id
from vae_hydra.training.loggers.mlflow import GROUP_TAG, PARENT_TAG, RUN_TAG, MlflowStore

# MLflow's page shows the artifacts that this tag names as tables.
TABLES_TAG = "mlflow.loggedArtifacts"


def log_table(folder: Path, runs: Sequence[Path], options: Mapping[str, Any]) -> None:
    """Log the results of ``runs``, their pivots and a report's figures as the MLflow run ``<sweep>-table``.

    The runs become its children. Logging again continues the same MLflow run, and replaces its tables and figures.

    Args:
        folder: the sweep's folder; its name is the group.
        runs: folders of the sweep's runs.
        options: ``experiment`` and ``tracking_uri`` as conf/logger/mlflow.yaml has them.
    """
    table = sweep_table(folder, runs)
    uri = options["tracking_uri"] or os.environ.get("MLFLOW_TRACKING_URI")
    store = MlflowStore(runs[0].parent, options["experiment"], uri)
    parent = store.run(f"{folder.name}-table", {RUN_TAG: table_id(folder), GROUP_TAG: folder.name})
    frames = {"results": table.results, **{f"tables/{metric}": frame for metric, frame in table.pivots.items()}}
    for artifact, frame in frames.items():
        store.client.log_text(parent, frame.to_json(orient="split", index=False), f"{artifact}.json")
    shown = [{"path": f"{artifact}.json", "type": "table"} for artifact in frames]
    store.client.set_tag(parent, TABLES_TAG, json.dumps(shown))
    for one in table.figures:
        store.client.log_figure(parent, one.figure, f"figures/{one.name}.png")
    _adopt(store, parent, runs)
    store.client.set_terminated(parent, "FINISHED")


def _adopt(store: MlflowStore, parent: str, runs: Sequence[Path]) -> None:
    """Make ``parent`` the parent of the runs' MLflow runs."""
    for folder in runs:
        run = Run.open(folder)
        tag = f"tags.`{RUN_TAG}` = '{run.name}-{run.record['id']}'"
        for found in store.client.search_runs([store.experiment_id], tag, max_results=1):
            store.client.set_tag(found.info.run_id, PARENT_TAG, parent)
