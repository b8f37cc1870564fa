"""Hydra's configuration loader, with what a sweep needs: its options are checked against its runs, not the default."""

from __future__ import annotations

from typing import Any

import hydra._internal.hydra as hydra_application
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict


class ConfigLoader(ConfigLoaderImpl):
    """Compose the configuration of a sweep itself of those options that fit it, and leave the others to its runs.

    Hydra applies all that is typed to the groups of the default. But a run of the sweep may choose others, which have
    options that those lack. What fits no run, the sweeper says.
    """

    def load_configuration(
        self, config_name: str | None, overrides: list[str], run_mode: RunMode, *args: Any, **kwargs: Any
    ) -> DictConfig:
        def load(some: list[str]) -> DictConfig:
            return super(ConfigLoader, self).load_configuration(config_name, some, run_mode, *args, **kwargs)

        try:
            return load(overrides)
        except ConfigCompositionException:
            if run_mode != RunMode.MULTIRUN:
                raise
            parsed = OverridesParser.create().parse_overrides(overrides)
            values = [text for text, override in zip(overrides, parsed, strict=True) if self._is_value(override)]
            others = [text for text in overrides if text not in values]
            if not values or load(others).hydra.mode != RunMode.MULTIRUN:
                raise
        config = load([*others, *(value for value in values if _fits(load, [*others, value]))])
        with open_dict(config.hydra):
            # What the sweeper hands to its runs.
            config.hydra.overrides.task = [
                text for text, override in zip(overrides, parsed, strict=True) if not override.is_hydra_override()
            ]
        return config

    def _is_value(self, override: Override) -> bool:
        """Whether an override is about a value of a run, neither a group nor about Hydra."""
        return not override.is_hydra_override() and not self.repository.group_exists(override.key_or_group)


def _fits(load: Any, overrides: list[str]) -> bool:
    try:
        load(overrides)
    except ConfigCompositionException:
        return False
    return True


def register() -> None:
    """Let ``hydra.main`` use our loader, for which it has no option."""
    hydra_application.ConfigLoaderImpl = ConfigLoader  # type: ignore[misc]
