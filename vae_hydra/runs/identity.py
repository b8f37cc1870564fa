"""What a run is, as opposed to where and how it is done: a hash of its configuration, and its name."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vae_hydra._moved import old_name
from vae_hydra.base import checks
from vae_hydra.base.nested import flat

# Where and how a run is done; everything else is what it is, and part of its name.
NOT_IDENTITY = (
    "output_dir",
    "logger",
    "threads",
    "trust",
    "dataset.root",
    "dataset.download",
    "dataset.source.root",
    "dataset.source.download",
    "callbacks.progress",
    "callbacks.histograms",
    "test_noises",
)
# Options that came later, with the value at which a run is what it was without them: such a run keeps its name,
# and a sweep that was finished before stays finished.
CAME_LATER: dict[str, Any] = {
    "condition": {},
    "classifier": {},
    "init_from": None,
    "keep_optimizer": False,
    "objective.free_bits": 0.0,
    "dataset.fraction": 1.0,
    "dataset.folds": 5,
    "dataset.fold": None,
    "dataset.resize": None,
    "dataset.binarise": "none",
    "likelihood.min_scale": 0.001,
    "callbacks.checkpoints.after_annealing": False,
    "callbacks.figures.epochs": [],
    "callbacks.figures.show": "default",
    **{
        f"model.{part}{option}": value
        for part in ("", "encoder.", "decoder.")
        for option, value in (("kernel", 4), ("residual_blocks", 0))
    },
}


def identity(config: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits of what ``config`` describes, the same on any machine."""
    return _digest(identifying_options(config))


def identifying_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of ``config`` says what is trained; options that came later only where they change it."""
    kept = copy.deepcopy(dict(config))
    for path in NOT_IDENTITY:
        _drop(kept, path)
    for path, value in CAME_LATER.items():
        _drop(kept, path, only_if=value)
    if kept.get("init_from"):
        # A run's folder is known by its name wherever it is; a checkpoint by itself only by its path.
        source = Path(kept["init_from"])
        kept["init_from"] = str(source) if source.suffix == ".ckpt" else source.name
    return _canonical(kept)


def _drop(config: dict[str, Any], path: str, only_if: Any = ...) -> None:
    """Remove the value at a dotted path, if there is one and, where ``only_if`` is given, it equals that."""
    *parents, leaf = path.split(".")
    node: Any = config
    for parent in parents:
        node = node.get(parent) if isinstance(node, dict) else None
    if isinstance(node, dict) and leaf in node and (only_if is ... or node[leaf] == only_if):
        del node[leaf]


def run_name(config: Mapping[str, Any], options: Mapping[str, Any] | None = None) -> str:
    """A name that says what the run is: dataset-noise-sampler-seed-identity.

    Args:
        config: of the run.
        options: its ``identifying_options``, if they are known.
    """
    parts = [_name(config, group) for group in ("dataset", "noise", "sampler")]
    seed = checks.seed("seed", config["seed"])
    return "-".join([*parts, f"s{seed}", _digest(identifying_options(config) if options is None else options)])


def _digest(options: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:8]


def _canonical(value: Any) -> Any:
    """Numbers that are equal become the same text: 1 and 1.0."""
    if isinstance(value, Mapping):
        return {
            str(key): _first_name(entry) if key == "_target_" else _canonical(entry) for key, entry in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_canonical(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _first_name(target: Any) -> Any:
    # The name of a run does not change when a class moves.
    return old_name(target) if isinstance(target, str) else target


def _name(config: Mapping[str, Any], group: str) -> str:
    node = config.get(group)
    return checks.plain_name(f"{group}.name", node.get("name") if isinstance(node, Mapping) else None)


def leaves(config: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted path → value of everything that says what a run trains."""
    return flat(identifying_options(config))


Leaves = Mapping[str, Any]
