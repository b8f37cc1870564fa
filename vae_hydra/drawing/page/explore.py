"""Play with a saved run in the browser: ``python -m vae_hydra.explore run=outputs/<run>``."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from typing import Any

from vae_hydra.base import checks
from vae_hydra.base.command.process import prepare_torch
from vae_hydra.runs.saved import data_of, open_saved
from vae_hydra.runs.trained import TrainedModel

log = logging.getLogger(__name__)


def explore(config: Mapping[str, Any], **options: Any) -> Any:
    """Serve a page that explores a run, on this machine, until Ctrl-C.

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
    saved = open_saved(config)
    model = TrainedModel(saved.module, data_of(saved, config["dataset_root"]))
    log.info("%s at http://%s:%d (Ctrl-C ends it)", saved.run.name, *address)
    return app.serve(model, saved.run.name, *address, open_browser, **options)


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
