"""The name and the folder of a sweep."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from vae_hydra.base.command.configuration import is_sweep
from vae_hydra.base.command.overrides import split
from vae_hydra.base.nested import contains
from vae_hydra.base.system_errors import reason
from vae_hydra.runs.identity import NOT_IDENTITY


def sweep_name() -> str | None:
    """The name of a sweep's folder, under which W&B groups its runs; None outside a sweep."""
    return Path(HydraConfig.get().sweep.dir).name if is_sweep() else None


def sweep_id() -> str:
    """A sweep's name, made from its command line: the same command goes on with the same sweep."""
    overrides = [argument for argument in sys.argv[1:] if argument.startswith("~") or "=" in argument]
    typed = sorted(override for override in overrides if not override.startswith("-") and is_about_runs(override))
    named = dict(argument.split("=", 1) for argument in typed if "=" in argument)
    title = named.get("sweep") or named.get("experiment") or "sweep"
    plain_title = "".join(c if c.isalnum() or c == "_" else "-" for c in title)[:80]
    return f"{plain_title}-{hashlib.sha256(json.dumps(typed).encode()).hexdigest()[:8]}"


def is_about_runs(override: str) -> bool:
    """Whether an override is part of what a run is; False for where and how the run is trained."""
    key, _ = split(override)
    if key.startswith(("hydra/", "hydra.")):
        return key.startswith(("hydra.sweeper.grids", "hydra.sweeper.params"))
    return not any(contains(name, key) for name in NOT_IDENTITY)


class SweepFolder(Callback):
    """Hydra callback: refuse a sweep whose folder cannot be written. Hydra itself would fail with a traceback."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        option = "output_dir" if "output_dir" in config else "hydra.sweep.dir"
        try:
            Path(config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            print(f"error: {option} cannot be written: {reason(error, option)}", file=sys.stderr)
            raise SystemExit(2) from None
