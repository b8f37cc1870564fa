"""The name of a run: a hash of the options that determine what is trained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vae_hydra._moved import old_name
from vae_hydra.base import checks
from vae_hydra.base.nested import MISSING, flat
from vae_hydra.runs.first_options import FIRST, FIRST_GROUPS
from vae_hydra.runs.later_options import later_defaults
from vae_hydra.runs.objective_options import first_objective

LARGEST_INT = 2**63
# Options for where and how a run is done; all others determine what is trained, and are part of its name.
NOT_IDENTITY = (
    "output_dir",
    "tags",
    "logger",
    "threads",
    "stack",
    "cells",
    "compile",
    "trust",
    "dataset.root",
    "dataset.download",
    "dataset.cache",
    "dataset.in_memory",
    *(
        f"dataset.{node}.{option}"
        for node in ("source", "contaminant")
        for option in ("root", "download", "cache", "in_memory")
    ),
    "callbacks.progress",
    "callbacks.histograms",
    "callbacks.figures.in_sweep",
    "callbacks.checkpoints.every_seconds",
    "test_noises",
)


def identity(config: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits that stand for ``config``, the same on any machine."""
    return _digest(identifying_options(config))


def identifying_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """The options of ``config`` that determine what is trained.

    An option that runs did not have from the start is left out where it stands at its default (``later_defaults``):
    a run keeps its name, and a finished sweep stays finished, when an option is added.
    """
    kept = _kept({**config, "objective": first_objective(config["objective"])} if "objective" in config else config)
    if kept.get("init_from"):
        # A run's folder is known by its name wherever it is; a checkpoint by itself only by its path.
        source = Path(kept["init_from"])
        kept["init_from"] = str(source) if source.suffix == ".ckpt" else source.name
    return kept


def _kept(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The identifying options of a group, with equal numbers written alike."""
    kept = {}
    for key, value in node.items():
        path = f"{prefix}{key}"
        if path in NOT_IDENTITY:
            continue
        if isinstance(value, Mapping) and value:
            group = _kept(value, f"{path}.")
            # A new group at its defaults leaves no trace.
            if group or path in FIRST_GROUPS:
                kept[str(key)] = group
        elif path in FIRST or _canonical(value, key) != _canonical(later_defaults().get(path, MISSING), key):
            kept[str(key)] = _canonical(value, key)
    return kept


def run_name(config: Mapping[str, Any], options: Mapping[str, Any] | None = None) -> str:
    """The name of the run of ``config``: dataset-noise-sampler-seed-identity.

    Args:
        config: the run's configuration.
        options: its ``identifying_options``, if they are known already.
    """
    parts = [_name(config, group) for group in ("dataset", "noise", "sampler")]
    seed = checks.seed("seed", config["seed"])
    return "-".join([*parts, f"s{seed}", _digest(identifying_options(config) if options is None else options)])


def _digest(options: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:8]


def _canonical(value: Any, key: Any = None) -> Any:
    """Numbers that are equal become the same text (1 and 1.0), and classes get their first names."""
    if isinstance(value, Mapping):
        return {str(name): _canonical(entry, name) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(entry) for entry in value]
    if key == "_target_" and isinstance(value, str):
        return old_name(value)
    return plain_number(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def plain_number(value: float) -> float:
    """A whole number as an int; one of more than 64 bits, which JSON files of runs do not hold, as a float."""
    if isinstance(value, float) and not value.is_integer():
        return value
    return int(value) if abs(value) < LARGEST_INT else float(value)


def _name(config: Mapping[str, Any], group: str) -> str:
    node = config.get(group)
    return checks.plain_name(f"{group}.name", node.get("name") if isinstance(node, Mapping) else None)


def leaves(config: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted path → value of the options that determine what is trained."""
    return flat(identifying_options(config))


Leaves = Mapping[str, Any]
