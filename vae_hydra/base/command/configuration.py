"""The configuration of a command: its folder, its values, its mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vae_hydra.base import hydra_versions


def config_folder() -> Path:
    """The folder ``conf``: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[2]
    return next(path for path in (package / "conf", package.parent / "conf") if path.is_dir())


@contextmanager
def hydra_in_use() -> Iterator[None]:
    """Use Hydra as the command line has set it up; without a command line, with our own configuration."""
    if GlobalHydra.instance().is_initialized():
        yield
    else:
        with hydra_versions.initialized(str(config_folder())):
            yield


def plain(config: DictConfig) -> dict[str, Any]:
    """The configuration with every interpolation resolved, as dicts, lists and plain values."""
    return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[return-value]


def is_sweep() -> bool:
    """Whether this job is one of a --multirun."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN
