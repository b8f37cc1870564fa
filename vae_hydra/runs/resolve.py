"""From the configuration that Hydra composed to the options of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import hydra
from omegaconf import DictConfig, open_dict

from vae_hydra.base.command import cli
from vae_hydra.base.command.configuration import hydra_in_use, plain
from vae_hydra.base.command.functions import checked
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


def composed_options(name: str, overrides: Sequence[str]) -> dict[str, Any]:
    """The options of a command that Python calls, as plain values.

    Args:
        name: of the command's configuration.
        overrides: options as on the command line.

    Raises:
        ValueError: for an option that nothing reads, and for overrides that are no options.
    """
    words = checked(overrides)
    with hydra_in_use():
        config, choices = without_hydra(hydra.compose(name, words, return_hydra_config=True))
        if name == "train":
            return resolve(config, words, choices)
        options = plain(config)
        cli.refuse_unread(config, name, choices, words, options)
        return options


def without_hydra(config: DictConfig) -> tuple[DictConfig, dict[str, Any]]:
    """``config`` without Hydra's own node, and the choices (group → option) that the node recorded."""
    choices = dict(config.hydra.runtime.choices)
    with open_dict(config):
        del config["hydra"]
    return config, choices
