"""From the configuration that Hydra composed to the options of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import hydra
from omegaconf import DictConfig, open_dict

from vae_hydra.base.command import cli
from vae_hydra.base.command.configuration import plain
from vae_hydra.runs.upgrade import filled


def resolve(config: DictConfig, overrides: Sequence[str], choices: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a run as plain values; with ``init_from``, also those that it takes from the other run.

    Args:
        config: the configuration composed from ``overrides``.
        overrides: the run's part of the command line.
        choices: group → option that ``config`` was composed from.

    Raises:
        ValueError: for an option that nothing reads.
    """
    options = filled(plain(config) if config.init_from is None else _inherited(config, overrides))
    cli.refuse_unread(config, "train", choices, overrides, options)
    return options


def _inherited(config: DictConfig, overrides: Sequence[str]) -> dict[str, Any]:
    # Imports torch, which a sweep plans without.
    from vae_hydra.runs.warm_start import inherit

    return inherit(config, hydra.compose("train"), overrides)


def without_hydra(config: DictConfig) -> tuple[DictConfig, dict[str, Any]]:
    """``config`` without Hydra's own node, and the choices (group → option) that the node recorded."""
    choices = dict(config.hydra.runtime.choices)
    with open_dict(config):
        del config["hydra"]
    return config, choices
