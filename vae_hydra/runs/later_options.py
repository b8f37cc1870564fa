"""Options that runs did not have from the start, and their defaults in our own YAML files."""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

from vae_hydra.base.command.configuration import config_folder
from vae_hydra.base.nested import MISSING, Tree, flat, get, merged
from vae_hydra.runs.first_options import FILES, FIRST

# Defaults that do not depend on the files: editing a file changes no name of a run. New options need no entry here.
FIXED_DEFAULTS: dict[str, Any] = {
    "condition": {},
    "classifier": {},
    "init_from": None,
    "keep_optimizer": False,
    "objective.free_bits": 0.0,
    # Of runs from before an objective was a class.
    "objective.bound": "elbo",
    "objective.draws": 1,
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
_COPY = re.compile(r"\$\{([A-Za-z_][\w.]*)\}")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as Hydra reads it: 1e-3 is a number."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


@functools.cache
def later_defaults() -> dict[str, Any]:
    """Dotted path → default of every option that is not among the first ones.

    A run without such an option and a run with its default are the same, so they have the same name. A new option
    therefore needs only a line in its YAML file, with a default that changes nothing:

    - The default is the value in the default configuration.
    - If only other files of a group have the option, the default is their common value.
    - There is no default for the options of a new file, which tell it from the other files of its group, and none for
      an option that is neither a value nor a copy, ``${another.option}``. Such options are always part of the name.

    To change such a default later, first add the old one to ``FIXED_DEFAULTS``, so that it stays the value without
    effect. Otherwise older runs with the old default get new names, and new runs take the names of older ones.
    """
    folder = config_folder()
    train = {key: value for key, value in _load(folder / "train.yaml").items() if key != "hydra"}
    chosen = [next(iter(entry.items())) for entry in train.pop("defaults") if isinstance(entry, dict)]
    groups = {group: option for group, option in chosen if option and not group.startswith("override ")}
    default = {**train, **{group: _option(folder / group, option) for group, option in groups.items()}}
    found = defaultdict(list)
    for group, options in FILES.items():
        for option in options.split():
            composed = {**default, group: _option(folder / group, option)}
            for path, value in flat(composed[group], group).items():
                found[path].append(_resolved(composed, value))
    agreed = {path: values[0] for path, values in found.items() if all(value == values[0] for value in values)}
    usual = {path: _resolved(default, value) for path, value in flat(default).items()}
    known = {**agreed, **usual, **FIXED_DEFAULTS}
    return {path: value for path, value in known.items() if path not in FIRST and value is not MISSING}


def _option(group: Path, option: str) -> Any:
    """The content of an option's file and of the files of its group that it builds on."""
    content = _load(group / f"{option}.yaml")
    if not isinstance(content, dict):
        return {}
    result: Tree = {}
    for entry in content.pop("defaults", ["_self_"]):
        if isinstance(entry, str):
            result = merged(result, content if entry == "_self_" else _option(group, entry))
    return result


def _load(file: Path) -> Any:
    return yaml.load(file.read_bytes(), _Loader)


def _resolved(config: Tree, value: Any) -> Any:
    """``value``, or the value that it is a copy of; MISSING for any other interpolation."""
    if not isinstance(value, str) or "${" not in value:
        return value
    copy = _COPY.fullmatch(value)
    return _resolved(config, get(config, copy[1], MISSING)) if copy else MISSING
