"""Play with saved runs in the browser: ``python -m vae_hydra.explore run=outputs/<run>``."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vae_hydra.base import checks
from vae_hydra.base.command.process import prepare_torch
from vae_hydra.runs.folder import Run, finished_runs
from vae_hydra.runs.reading import read_run
from vae_hydra.runs.saved import data_of, open_run
from vae_hydra.runs.trained import TrainedModel

if TYPE_CHECKING:
    from vae_hydra.drawing.page.catalogue import Catalogue

log = logging.getLogger(__name__)


def explore(config: Mapping[str, Any], **options: Any) -> Any:
    """Serve a page that explores a run, two side by side, or all of a folder, on this machine, until Ctrl-C.

    Args:
        config: resolved configuration, as ``conf/explore.yaml`` composes it.
        options: of ``panel.serve``.

    Raises:
        ValueError: if ``run`` is no run, its data are missing, the address is taken, or Panel is not installed.
    """
    app = _app()
    address = _address(config)
    open_browser = checks.boolean("open_browser", config["open_browser"])
    prepare_torch(config["threads"])
    catalogue, title = _catalogue(app.Catalogue, config), Path(config["run"]).expanduser().resolve().name
    log.info("%s at http://%s:%d (Ctrl-C ends it)", title, *address)
    return app.serve(catalogue, title, *address, open_browser, **options)


def _catalogue(make: type[Catalogue], config: Mapping[str, Any]) -> Catalogue:
    """The runs of the command: all of a folder, or one, and the one to compare it with."""
    root, folder, against = config["dataset_root"], Path(config["run"]).expanduser(), config["against"]
    opening = [config[name] for name in ("checkpoint", "trust", "accelerator")]

    def open_model(path: Path) -> TrainedModel:
        saved = open_run(path, *opening)
        return TrainedModel(saved.module, data_of(saved, root))

    if finished_runs(folder):
        if against is not None:
            raise ValueError(f"against={against} is for one run, but run={config['run']} holds several")
        return make(open_model, [read_run(path.parent) for path in sorted(folder.glob("*/run.json"))])
    chosen = [Run.open(folder).folder] + ([] if against is None else [Run.open(against, "against").folder])
    if len({path.name for path in chosen}) < len(chosen):
        raise ValueError(f"against={against} has the same name as run={config['run']}; give a run of another name")
    catalogue = make(open_model, chosen=chosen)
    # Errors are of the command, not of a visitor's page.
    for name in catalogue.folders:
        catalogue.model(name)
    return catalogue


def _app() -> Any:
    """The page's module, which needs an optional package."""
    try:
        from vae_hydra.drawing.page import app
    except ModuleNotFoundError as error:
        raise ValueError(f"explore needs {error.name}: pip install 'vae_hydra[explore]'") from error
    return app


def _address(config: Mapping[str, Any]) -> tuple[str, int]:
    """Host and port to serve at; for port 0 a free port.

    Raises:
        ValueError: for an address that is not this machine's, or taken.
    """
    host, port = config["host"], checks.integer("port", config["port"], minimum=0, maximum=65535)
    if not (isinstance(host, str) and host):
        raise ValueError(f"host must be an address of this machine, but got {host!r}")
    try:
        with socket.create_server((host, port)) as found:
            return host, found.getsockname()[1]
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(f"host={host} port={port} cannot be served at: {reason}; port=0 takes a free port") from error
