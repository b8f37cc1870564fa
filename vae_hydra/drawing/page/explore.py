"""Play with a saved run in the browser: ``python -m vae_hydra.explore run=outputs/<run>``."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from typing import Any

from vae_hydra.base import checks
from vae_hydra.base.command.process import prepare_torch

log = logging.getLogger(__name__)


def explore(config: Mapping[str, Any], **options: Any) -> Any:
    """Serve a page to explore a run with, on this machine, until Ctrl-C.

    Args:
        config: resolved configuration, as ``conf/explore.yaml`` composes it.
        options: of ``panel.serve``.

    Raises:
        ValueError: if ``run`` is no run, its data are not there, the address is taken, or Panel is not installed.
    """
    from vae_hydra.drawing.page.model import explored
    from vae_hydra.runs.saved import data_of, open_saved

    app = _app()
    address = _address(config)
    open_browser = checks.boolean("open_browser", config["open_browser"])
    prepare_torch(config["threads"])
    saved = open_saved(config)
    what = explored(saved.module, data_of(saved, config["dataset_root"]))
    log.info("%s at http://%s:%d (Ctrl-C ends it)", saved.run.name, *address)
    return app.serve(what, saved.run.name, *address, open_browser, **options)


def _app() -> Any:
    """The page's module, which needs an optional package."""
    try:
        from vae_hydra.drawing.page import app
    except ModuleNotFoundError as error:
        raise ValueError(f"explore needs {error.name}: pip install 'vae_hydra[explore]'") from error
    return app


def _address(config: Mapping[str, Any]) -> tuple[str, int]:
    """Host and port to serve at; for port 0 one that is free.

    Raises:
        ValueError: for what is no address of this machine, or taken.
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
