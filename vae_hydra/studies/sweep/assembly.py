"""Combinations of options of groups, assembled from configurations that Hydra has composed."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from hydra.core.config_loader import ConfigLoader as HydraLoader
from hydra.core.default_element import ConfigDefault, InputDefault
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, open_dict

Choices = dict[str, Any]
NAME = re.compile(r"[A-Za-z_]\w*")


class _Known(NamedTuple):
    """What Hydra composed for runs that differ in options of confined groups alone.

    Attributes:
        packed: one of the configurations, pickled: unpickling is faster than copying.
        choices: the option of each group in it.
        defaults: group → its option where a run chooses none.
        groups: (group, option) → the values of the group.
    """

    packed: bytes
    choices: Choices
    defaults: dict[str, str]
    groups: dict[tuple[str, str], DictConfig]

    def changes(self, chosen: Mapping[str, str]) -> dict[str, str] | None:
        """Group → option for the groups that a run has otherwise than ``packed``; None if not all are known."""
        known = {group for group, _ in self.groups}
        if not known <= {*self.defaults, *chosen}:
            return None
        wanted = {**self.defaults, **chosen}
        changed = {group: option for group, option in wanted.items() if option != self.choices.get(group)}
        replaced = ((group, self.choices.get(group)) for group in changed)
        return changed if self.groups.keys() >= {*changed.items(), *replaced} else None

    def assembled(self, changes: Mapping[str, str]) -> tuple[DictConfig, Choices]:
        """A configuration with other options, and its choices."""
        config = pickle.loads(self.packed)
        with open_dict(config):
            for group, option in changes.items():
                config[group] = self.groups[group, option]
        return config, {**self.choices, **changes}


class Assembler:
    """Composes configurations, and asks Hydra only for those with an option that is new.

    Hydra takes a tenth of a second for each, and a sweep over n options of one group and m of another has n·m
    combinations. An option is confined to its group if its file holds nothing but values of that group; then it changes
    them alone, whatever else is chosen. So n + m − 1 configurations contain all that the others consist of.

    Args:
        compose: overrides → configuration, and the option of each group; as Hydra composes it.
        loader: Hydra's own.
    """

    def __init__(self, compose: Callable[[Sequence[str]], tuple[DictConfig, Choices]], loader: HydraLoader) -> None:
        self._compose, self._loader = compose, loader
        self._parse = cache(OverridesParser.create().parse_override)
        self._is_confined = cache(self._find_whether_confined)
        self._known: dict[tuple[str, ...], _Known] = {}

    def __call__(self, overrides: Sequence[str]) -> tuple[DictConfig, Choices]:
        """The configuration of a run, with its interpolations, and the option of each group.

        Raises:
            ConfigCompositionException: for overrides that do not fit.
        """
        chosen, others = self._split(overrides)
        known = self._known.get(others)
        if known is not None and (changes := known.changes(chosen)) is not None:
            return known.assembled(changes)
        config, choices = self._compose(overrides)
        if known is None:
            known = self._known[others] = _Known(pickle.dumps(config), choices, {}, {})
        self._remember(known, config, choices, chosen)
        return config, choices

    def _remember(self, known: _Known, config: DictConfig, choices: Choices, chosen: Mapping[str, str]) -> None:
        for group, option in choices.items():
            if option is None or not NAME.fullmatch(group) or not self._is_confined(group, option):
                continue
            values = config._get_node(group)
            if isinstance(values, DictConfig) and not values._is_interpolation():
                known.groups.setdefault((group, option), copy.deepcopy(values))
                if group not in chosen:
                    known.defaults.setdefault(group, option)

    def _split(self, overrides: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
        """Group → option for the groups that can be exchanged, and the other overrides."""
        parsed = [self._parse(text) for text in overrides]
        options = {id(o): option for o in parsed if (option := self._option(o)) is not None}
        fixed = {re.split(r"[./@]", o.key_or_group)[0] for o in parsed if id(o) not in options}
        names = [o.key_or_group for o in parsed if id(o) in options]
        free = {name for name in names if name not in fixed and names.count(name) == 1}
        chosen = {o.key_or_group: options[id(o)] for o in parsed if id(o) in options and o.key_or_group in free}
        others = (text for text, o in zip(overrides, parsed, strict=True) if o.key_or_group not in chosen)
        return dict(sorted(chosen.items())), tuple(others)

    def _option(self, override: Override) -> str | None:
        """The option of a top-level group that an override chooses, if its file is confined to that group."""
        group, option = override.key_or_group, override.value()
        if override.type != OverrideType.CHANGE or override.package is not None or not isinstance(option, str):
            return None
        return option if NAME.fullmatch(group) and self._is_confined(group, option) else None

    def _find_whether_confined(self, group: str, option: str) -> bool:
        repository = self._loader.repository  # type: ignore[attr-defined]
        found = repository.load_config(f"{group}/{option}") if repository.group_exists(group) else None
        if found is None or found.header.get("package") is not None:
            return False
        return all(self._adds_to_its_group(group, default) for default in found.defaults_list)

    def _adds_to_its_group(self, group: str, default: InputDefault) -> bool:
        """Whether a file that an option builds on is confined to the group as well."""
        if not isinstance(default, ConfigDefault) or default.package is not None or default.path is None:
            return False
        return default.path == "_self_" or bool(NAME.fullmatch(default.path) and self._is_confined(group, default.path))
