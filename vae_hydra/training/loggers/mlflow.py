"""MLflow: a local SQLite store, or a tracking server."""

from __future__ import annotations

import importlib.util
import os
import re
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from lightning.pytorch.utilities import rank_zero_only

from vae_hydra.base import checks
from vae_hydra.base.nested import flat
from vae_hydra.training.loggers.run_logger import RunLogger, exit_code

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

# Tags by which runs are found again.
RUN_TAG, GROUP_TAG, PARENT_TAG = "vae_hydra.run", "vae_hydra.group", "mlflow.parentRunId"
# MLflow would take any other text, such as localhost:5000, as the name of a folder.
URI = re.compile(r"\w[\w+.-]*://|databricks\b|file:|/")
# MLflow's own limits.
FORBIDDEN, LONGEST_PARAM, PARAMS_AT_ONCE = re.compile(r"[^/\w.\- :]"), 6000, 100


def mlflow_logger(
    folder: Path,
    run_id: str,
    experiment: str,
    tracking_uri: str | None = None,
    group: str | None = None,
    tags: Mapping[str, str] | None = None,
    log_model: bool = True,
    run_tags: Sequence[str] = (),
) -> MlflowRun:
    """MLflow, with one MLflow run for a run's folder; resuming the run resumes it.

    Args:
        folder: folder of the run; its name is the name of the MLflow run.
        run_id: unique id of the run, by which MLflow recognises it later.
        experiment: MLflow's experiment, made if it does not exist.
        tracking_uri: a server or store; None for ``MLFLOW_TRACKING_URI``, or else mlflow.db beside the run's folder.
        group, tags: tags of the MLflow run.
        log_model: whether to log the trained model as the artifact ``model``.
        run_tags: the option ``tags`` of the run, kept as the tag ``tags``.

    Raises:
        ValueError: if mlflow is not installed, or for an address that is no URI.
    """
    checks.boolean("logger.mlflow.log_model", log_model)
    if importlib.util.find_spec("mlflow") is None:
        raise ValueError("logger=mlflow needs the package mlflow: pip install 'vae_hydra[mlflow]'")
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if uri is not None and not (isinstance(uri, str) and URI.match(uri)):
        source = "logger.mlflow.tracking_uri" if tracking_uri else "MLFLOW_TRACKING_URI"
        raise ValueError(f"{source} must be a URI such as http://HOST:5000 or sqlite:///FILE, but got {uri!r}")
    words = {"tags": ", ".join(run_tags)} if run_tags else {}
    all_tags = {**(tags or {}), **words, RUN_TAG: f"{folder.name}-{run_id}", **({GROUP_TAG: group} if group else {})}
    return MlflowRun(folder, experiment, uri, all_tags, log_model)


class MlflowStore:
    """An experiment of an MLflow store, made where it does not exist.

    Args:
        folder: folder for mlflow.db and mlflow/, if no ``uri`` is given.
        experiment: its name.
        uri: a server or store.
    """

    def __init__(self, folder: Path, experiment: str, uri: str | None) -> None:
        self.folder, self.experiment = folder.resolve(), experiment
        self.uri = uri or f"sqlite:///{self.folder / 'mlflow.db'}"
        self._is_local = uri is None

    @cached_property
    def client(self) -> MlflowClient:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        from mlflow.tracking import MlflowClient

        return MlflowClient(self.uri)

    @cached_property
    def experiment_id(self) -> str:
        if not self._is_local:
            return self._found_or_made(None)
        self.folder.mkdir(parents=True, exist_ok=True)
        # Several runs of a sweep may create the database at once.
        with FileLock(self.folder / ".mlflow.lock"):
            return self._found_or_made((self.folder / "mlflow").as_uri())

    def _found_or_made(self, artifacts: str | None) -> str:
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(self.experiment)
        if found is None:
            try:
                return str(self.client.create_experiment(self.experiment, artifact_location=artifacts))
            except MlflowException:
                # Another run may have made it in the meantime.
                found = self.client.get_experiment_by_name(self.experiment)
                if found is None:
                    raise
        return str(found.experiment_id)

    def run(self, name: str, tags: Mapping[str, str]) -> str:
        """The id of the MLflow run with the ``RUN_TAG`` of ``tags``, which is made or goes on."""
        same = f"tags.`{RUN_TAG}` = '{tags[RUN_TAG]}'"
        found = self.client.search_runs([self.experiment_id], same, max_results=1)
        if not found:
            return str(self.client.create_run(self.experiment_id, run_name=name, tags=dict(tags)).info.run_id)
        self.client.update_run(found[0].info.run_id, status="RUNNING")
        return str(found[0].info.run_id)


class MlflowRun(RunLogger):
    """One MLflow run."""

    title = "MLflow"

    def __init__(
        self, folder: Path, experiment: str, uri: str | None, tags: Mapping[str, str], log_model: bool
    ) -> None:
        super().__init__()
        self.record, self.logs_model = folder / "mlflow.json", log_model
        self._run_name, self._tags = folder.name, tags
        self._store = MlflowStore(folder.parent, experiment, uri)

    @property
    def name(self) -> str:
        return self._store.experiment

    @property
    def version(self) -> str:
        return self.id

    @cached_property
    def id(self) -> str:
        """MLflow's id of the run."""
        return self._store.run(self._run_name, self._tags)

    @property
    def place(self) -> str:
        return f"run {self.id} in {self._store.uri}, experiment {self._store.experiment}"

    @property
    def destination(self) -> str:
        return self.id

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Log options by their dotted paths; MLflow refuses another value of one that is logged already."""
        from mlflow.entities import Param

        options = vars(params) if isinstance(params, Namespace) else params
        known = self._store.client.get_run(self.id).data.params
        values = {allowed(name): str(value)[:LONGEST_PARAM] for name, value in flat(options).items()}
        new = [Param(name, value) for name, value in values.items() if name not in known]
        for start in range(0, len(new), PARAMS_AT_ONCE):
            self._store.client.log_batch(self.id, params=new[start : start + PARAMS_AT_ONCE])

    def send(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(allowed(name), value, now, step) for name, value in values.items()]
        self._store.client.log_batch(self.id, metrics=metrics)

    def send_figure(self, name: str, picture: Path, step: int) -> None:
        # As in the run's folder: figures/NAME.png, or figures/epoch_NNNN/NAME.png.
        epoch = picture.parent.name
        self._store.client.log_artifact(self.id, str(picture), f"figures/{epoch}" if "epoch_" in epoch else "figures")

    def log_model(self, folder: Path) -> None:
        self._store.client.log_artifacts(self.id, str(folder), "model")

    def end(self, error: BaseException | None) -> None:
        """Mark the MLflow run as finished, failed (by an error) or killed (by a signal)."""
        if "id" not in vars(self):
            return  # the store was never reached, and trying again takes minutes
        failed = "FAILED" if isinstance(error, Exception) else "KILLED"
        self._store.client.set_terminated(self.id, failed if exit_code(error) else "FINISHED")


def allowed(name: str) -> str:
    """``name`` with ``_`` for each character that MLflow forbids in names of metrics and parameters.

    >>> allowed("denoise/normal/half_sse"), allowed("a=b")
    ('denoise/normal/half_sse', 'a_b')
    """
    return FORBIDDEN.sub("_", name)
