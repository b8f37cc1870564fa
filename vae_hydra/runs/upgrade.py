"""Older runs in today's terms: the one place that renames their classes and fills in options that they lack."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from vae_hydra._moved import new_name
from vae_hydra.runs.identity import NOT_IDENTITY
from vae_hydra.runs.later_options import later_defaults
from vae_hydra.runs.objective_options import upgraded_objective


def upgrade(config: Mapping[str, Any]) -> dict[str, Any]:
    """A saved configuration with today's names of classes, an objective that is one, and ``filled``."""
    named = {key: _renamed(key, value) for key, value in config.items()}
    objective = {"objective": upgraded_objective(named["objective"])} if "objective" in named else {}
    return filled({**named, **objective})


def filled(config: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` with the default of every group and option at the top that runs did not have from the start.

    Options within groups need none: the classes that take them have the same defaults. Nor does ``test_noises``, which
    a run that starts from an older one takes from the command line.
    """
    later = {path: value for path, value in later_defaults().items() if "." not in path and path not in NOT_IDENTITY}
    missing = {key: value for key, value in later.items() if key not in config}
    return {**config, **copy.deepcopy(missing)}


def upgrade_description(description: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint's description, with the entries that older ones lack: no classes, and an unknown value range."""
    return {"classes": 0, "value_range": None, **description, "config": upgrade(description["config"])}


def _renamed(key: Any, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {inner: _renamed(inner, entry) for inner, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_renamed(None, entry) for entry in value]
    return new_name(value) if key == "_target_" and isinstance(value, str) else value
