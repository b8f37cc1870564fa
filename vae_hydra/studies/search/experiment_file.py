"""What one types for a run, as a file of the group experiment that stands for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from vae_hydra.base import nested
from vae_hydra.runs.identity import NOT_IDENTITY

# Where and how a run is done is not the experiment's business; what it is tested on is.
HEAD = "# @package _global_"
LEFT_OUT = tuple(name for name in NOT_IDENTITY if name != "test_noises")


def experiment_file(overrides: Sequence[str], is_group: Callable[[str], bool]) -> tuple[str, list[str]]:
    """The file's text, and those of ``overrides`` that it does not say: where and how a run is done, and what is taken
    away, which no file can say.

    Args:
        overrides: as typed for the training command, or its like.
        is_group: whether a name is a group of options (``sampler``) rather than an option.
    """
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    said = [one for one in parsed if _belongs(one) and not one.is_delete()]
    groups = [one for one in said if is_group(one.key_or_group)]
    values: dict[str, Any] = {}
    for one in said:
        if one not in groups:
            nested.put(values, one.key_or_group, one.value())
    # Hydra wants what takes another's place after what is added.
    defaults = sorted(map(_default, groups), key=lambda entry: "override" in next(iter(entry)))
    content = {"defaults": [*defaults, "_self_"], **values}
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    return f"{HEAD}\n{text}", [str(one.input_line) for one in parsed if one not in said]


def _belongs(override: Override) -> bool:
    key = override.key_or_group
    return not key.startswith(("hydra/", "hydra.")) and not any(nested.contains(name, key) for name in LEFT_OUT)


def _default(override: Override) -> dict[str, Any]:
    """An entry of a defaults list: what is chosen takes the place of another choice, an experiment is built upon."""
    package = "" if override.package is None else f"@{override.package}"
    if override.key_or_group == "experiment":
        return {"/experiment@_global_": override.value()}
    return {f"{'' if override.is_add() else 'override '}/{override.key_or_group}{package}": override.value()}
