"""Hydra's configuration loader for sweeps: options are checked against the runs, not against the default run."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_loader import ConfigLoader as HydraLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict

from vae_hydra.base.hydra_versions import HAS_WHITELIST


class ConfigLoader(ConfigLoaderImpl):
    """Compose a sweep's own configuration from the options that fit it; the others are for its runs.

    Hydra applies the whole command line to the default groups. But a run of the sweep may choose other groups, with
    options that the default ones lack. The sweeper refuses an option that fits no run.
    """

    def load_configuration(
        self, config_name: str | None, overrides: list[str], run_mode: RunMode, *args: Any, **kwargs: Any
    ) -> DictConfig:
        def load(some: list[str]) -> DictConfig:
            return super(ConfigLoader, self).load_configuration(config_name, some, run_mode, *args, **kwargs)

        # Under Hydra 1.4 this one calls the one below, and Hydra calls either.
        return load(overrides) if HAS_WHITELIST else self._fitting(load, overrides, run_mode)

    def _load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        parsed_overrides: list[Override] | None = None,
        **kwargs: Any,
    ) -> DictConfig:
        def load(some: list[str]) -> DictConfig:
            if some == overrides:
                kwargs["parsed_overrides"] = parsed_overrides
            else:
                kwargs.pop("parsed_overrides", None)
            return super(ConfigLoader, self)._load_configuration(  # type: ignore[misc]
                config_name=config_name, overrides=some, run_mode=run_mode, **kwargs
            )

        return self._fitting(load, overrides, run_mode)

    def _fitting(self, load: Callable[[list[str]], DictConfig], overrides: list[str], run_mode: RunMode) -> DictConfig:
        try:
            return load(overrides)
        except ConfigCompositionException:
            if run_mode != RunMode.MULTIRUN:
                raise
            parsed = OverridesParser.create().parse_overrides(overrides)
            values = [text for text, override in zip(overrides, parsed, strict=True) if self._is_value(override)]
            others = [text for text in overrides if text not in values]
            if not values or load(others).hydra.mode not in (None, RunMode.MULTIRUN):
                raise
        config = load([*others, *(value for value in values if _fits(load, [*others, value]))])
        with open_dict(config.hydra):
            # The sweeper hands these to its runs.
            config.hydra.overrides.task = [
                text for text, override in zip(overrides, parsed, strict=True) if not override.is_hydra_override()
            ]
        return config

    def _is_value(self, override: Override) -> bool:
        """Whether an override changes a value of a run, not the choice of a group and not Hydra."""
        return not override.is_hydra_override() and not self.repository.group_exists(override.key_or_group)


@contextmanager
def files_read_once(loader: HydraLoader) -> Iterator[None]:
    """Read each file of options once while a sweep composes its runs: parsing takes a quarter of that time."""
    repository = cast(ConfigLoaderImpl, loader).repository
    load = repository.load_config
    packed: dict[str, bytes] = {}

    def load_once(config_path: str) -> Any:
        if config_path not in packed:
            packed[config_path] = pickle.dumps(load(config_path))
        # Hydra changes what it gets. Unpickling is faster than copying.
        return pickle.loads(packed[config_path])

    repository.load_config = load_once  # type: ignore[method-assign]
    try:
        yield
    finally:
        del repository.load_config


def _fits(load: Any, overrides: list[str]) -> bool:
    try:
        load(overrides)
    except ConfigCompositionException:
        return False
    return True
