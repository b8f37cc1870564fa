"""trackio: a local store that its own page shows, or a server of one's own."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import shlex
from argparse import Namespace
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from vae_hydra.base.nested import flat
from vae_hydra.training.loggers.run_logger import BINS, RunLogger, exit_code

# trackio reads it when it is imported.
FOLDER_VARIABLE = "TRACKIO_DIR"


def trackio_logger(
    folder: Path,
    run_id: str,
    project: str,
    server_url: str | None = None,
    group: str | None = None,
    run_tags: Sequence[str] = (),
) -> TrackioRun:
    """trackio, with one trackio run for a run's folder; resuming the run resumes it.

    Args:
        folder: folder of the run.
        run_id: unique id of the run, by which trackio recognises it later.
        project, group: options of trackio.
        server_url: a server of one's own, whose token is in ``TRACKIO_WRITE_TOKEN``; None for ``TRACKIO_SERVER_URL``,
            or else the folder ``TRACKIO_DIR``, which is trackio/ beside the run's folder unless it is set.
        run_tags: the option ``tags`` of the run, kept in trackio's configuration.

    Raises:
        ValueError: if trackio is not installed, or if the address has a token, which the run's folder would keep.
    """
    if "write_token" in str(server_url):
        raise ValueError(
            "logger.trackio.server_url has a write token, and options are kept in config.yaml; "
            "give the address alone, and the token in TRACKIO_WRITE_TOKEN"
        )
    if importlib.util.find_spec("trackio") is None:
        raise ValueError("logger=trackio needs the package trackio: pip install 'vae_hydra[trackio]'")
    os.environ.setdefault(FOLDER_VARIABLE, str(folder.resolve().parent / "trackio"))
    options = {"project": project, "name": f"{folder.name}-{run_id}", "group": group, "server_url": server_url}
    return TrackioRun(folder, options, list(run_tags))


class TrackioRun(RunLogger):
    """One trackio run."""

    title = "trackio"

    def __init__(self, folder: Path, options: Mapping[str, Any], tags: Sequence[str]) -> None:
        super().__init__()
        self.record, self._options, self._tags = folder / "trackio.json", options, tags
        self._config: dict[str, Any] = {}

    @property
    def name(self) -> str:
        return str(self._options["project"])

    @property
    def version(self) -> str:
        return str(self._options["name"])

    @cached_property
    def run(self) -> Any:
        """trackio's run, which begins or goes on."""
        import trackio

        # It prints how to start its page for every run, and would measure the machine in a thread.
        with contextlib.redirect_stdout(io.StringIO()):
            return trackio.init(
                **self._options,
                config=self._config,
                resume="allow",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )

    @property
    def place(self) -> str:
        if server := self._options["server_url"] or os.environ.get("TRACKIO_SERVER_URL"):
            # Its address may contain the token.
            return f"project {self.name} of {str(server).partition('?')[0]}"
        folder, project = (shlex.quote(str(text)) for text in (os.environ[FOLDER_VARIABLE], self.name))
        return f"{FOLDER_VARIABLE}={folder} trackio show --project {project}"

    @property
    def destination(self) -> str:
        return f"{self.name}/{self.version}"

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Keep options by their dotted paths; trackio stores them with the first values."""
        options = vars(params) if isinstance(params, Namespace) else params
        self._config = {**flat(options), **({"tags": ", ".join(self._tags)} if self._tags else {})}

    def send(self, values: Mapping[str, Any], step: int) -> None:
        self.run.log(dict(values), step=step)

    def send_figure(self, name: str, picture: Path, step: int) -> None:
        import trackio

        self.send({name: trackio.Image(str(picture))}, step)

    def send_histograms(self, values: Mapping[str, Tensor], step: int) -> None:
        import trackio

        counts = {name: np.histogram(value.numpy(), bins=BINS) for name, value in values.items()}
        self.send({name: trackio.Histogram(np_histogram=count) for name, count in counts.items()}, step)

    def end(self, error: BaseException | None) -> None:
        """Send what is left; an error becomes an alert, since trackio knows no failed runs."""
        import trackio

        with contextlib.redirect_stdout(io.StringIO()):
            if exit_code(error):
                self.run.alert("the run failed", f"{type(error).__name__}: {error}", trackio.AlertLevel.ERROR)
            self.run.finish()
            # Otherwise it would be finished once more at the end of the process.
            trackio.context_vars.current_run.set(None)
