"""A run's overrides as a file of the group ``experiment``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from vae_hydra.base import nested
from vae_hydra.runs.identity import NOT_IDENTITY

HEAD = "# @package _global_"
# An experiment leaves open where and how a run is trained, but not what it is tested on.
LEFT_OUT = tuple(name for name in NOT_IDENTITY if name != "test_noises")


def experiment_file(overrides: Sequence[str], is_group: Callable[[str], bool]) -> tuple[str, list[str]]:
    """The file's text, and the overrides that have to stay on the command line.

    Those are where and how a run is trained, and deletions, which a file cannot express.

    Args:
        overrides: overrides of the training command.
        is_group: whether a name is a group of options (``sampler``) rather than an option.
    """
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    in_file = [override for override in parsed if _belongs(override) and not override.is_delete()]
    groups = [override for override in in_file if is_group(override.key_or_group)]
    values: dict[str, Any] = {}
    for override in in_file:
        if override not in groups:
            nested.put(values, override.key_or_group, override.value())
    # Hydra wants overriding entries after added ones.
    defaults = sorted(map(_default, groups), key=lambda entry: "override" in next(iter(entry)))
    content = {"defaults": [*defaults, "_self_"], **values}
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    return f"{HEAD}\n{text}", [str(one.input_line) for one in parsed if one not in in_file]


def _belongs(override: Override) -> bool:
    key = override.key_or_group
    return not key.startswith(("hydra/", "hydra.")) and not any(nested.contains(name, key) for name in LEFT_OUT)


def _default(override: Override) -> dict[str, Any]:
    """An entry of a defaults list: a choice replaces the default one, and an experiment is the base of the file."""
    package = "" if override.package is None else f"@{override.package}"
    if override.key_or_group == "experiment":
        # Hydra 1.4 wants the folder of an option in the name of its group.
        folder, _, name = str(override.value()).rpartition("/")
        return {f"/{'/'.join(filter(None, ('experiment', folder)))}@_global_": name}
    return {f"{'' if override.is_add() else 'override '}/{override.key_or_group}{package}": override.value()}
