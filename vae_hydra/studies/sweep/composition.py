"""The configurations of many runs: Hydra composes one for each choice of groups, and plain values are filled in.

Composing and resolving take milliseconds a run; runs of a sweep mostly differ in values alone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vae_hydra.base import nested

# A dotted path of plain keys; an interpolation that copies a whole value; names within any other interpolation.
PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
COPY = re.compile(r"\$\{([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\}")
NAME = re.compile(r"[\w.]+")
INTEGER = re.compile(r"([A-Za-z_][\w.]*)=(0|[1-9]\d*)")
Plain = dict[str, Any]


class Composed(NamedTuple):
    """The configuration of one run.

    Attributes:
        number: position of the run in the argument of ``Composer.compose``.
        overrides: the run's overrides of options that it has.
        unknown: keys of its other overrides, which are left out.
        config: resolved, as plain values. Runs share the parts that are equal: never change one in place.
        base: a configuration of the runs with the same groups; it shares the parts that equal those of ``config``.
        error: why ``config`` is empty.
    """

    number: int
    overrides: list[str]
    unknown: list[str]
    config: Plain
    base: Plain
    error: Exception | None = None


class _Run(NamedTuple):
    """A run to compose: Hydra applies the overrides ``fixed``; ``values`` (key → value) are filled in afterwards."""

    number: int
    overrides: tuple[str, ...]
    fixed: tuple[str, ...]
    values: dict[str, Any]

    def with_fixed(self, keys: Iterable[str]) -> _Run:
        """The run with the values of ``keys`` among those that Hydra applies."""
        values = {key: value for key, value in self.values.items() if key not in keys}
        filled_in = tuple(f"{key}=" for key in values)
        return self._replace(fixed=tuple(o for o in self.overrides if not o.startswith(filled_in)), values=values)

    def without(self, keys: Iterable[str]) -> _Run:
        """The run without the overrides of ``keys``."""
        dropped = tuple(f"{key}=" for key in keys)
        overrides, fixed = (tuple(o for o in part if not o.startswith(dropped)) for part in self[1:3])
        values = {key: value for key, value in self.values.items() if key not in keys}
        return self._replace(overrides=overrides, fixed=fixed, values=values)


class Composer:
    """Composes many runs at once, with the configurations that Hydra would compose one by one.

    Args:
        compose: overrides → configuration; ConfigCompositionException for overrides that do not fit.
        is_group: whether a key names a group of options.
    """

    def __init__(self, compose: Callable[[Sequence[str]], DictConfig], is_group: Callable[[str], bool]) -> None:
        self._compose, self._is_group = compose, cache(is_group)
        self._parse = cache(OverridesParser.create().parse_override)

    def compose(self, runs: Sequence[Sequence[str]]) -> Iterator[Composed]:
        """The configuration of each run, given by its overrides; runs with the same groups follow one another.

        Raises:
            ConfigCompositionException: for a group, or an option of a group, that does not exist.
        """
        yield from self._composed(self._split(number, tuple(overrides)) for number, overrides in enumerate(runs))

    def _split(self, number: int, overrides: tuple[str, ...]) -> _Run:
        """The run, with the values that can be filled in set apart from the overrides that Hydra has to apply."""
        values: dict[str, Any] = {}
        others = []
        for override in overrides:
            if (filled_in := self._filled_in(override)) is not None:
                values.setdefault(*filled_in)
            else:
                others.append(self._parse(override))
        run = _Run(number, overrides, overrides, values)
        if len(others) + len(values) < len(overrides):
            return run._replace(values={})  # a key occurs twice
        # Hydra adds, changes and removes options in the order of the command line.
        ordered = [o.key_or_group for o in others if isinstance(o.value(), dict) or not self._is_group(o.key_or_group)]
        return run.with_fixed([key for key in values if any(_related(key, other) for other in ordered)])

    def _filled_in(self, override: str) -> tuple[str, Any] | None:
        """Key and value of an override that gives an option a plain value; None for any other."""
        value: Any
        if match := INTEGER.fullmatch(override):
            # The seeds of a large sweep: parsing them would take longer than everything else.
            key, value = match[1], int(match[2])
        else:
            parsed = self._parse(override)
            if not _is_change(parsed) or not _is_plain(parsed.value()):
                return None
            key, value = parsed.key_or_group, parsed.value()
        is_option = PATH.fullmatch(key) and key.partition(".")[0] != "hydra" and not self._is_group(key)
        return (key, value) if is_option else None

    def _composed(self, runs: Iterable[_Run]) -> Iterator[Composed]:
        alike = defaultdict(list)
        for run in runs:
            alike[run.fixed].append(run)
        for fixed, members in alike.items():
            yield from self._filled(fixed, members)

    def _filled(self, fixed: Sequence[str], members: Sequence[_Run]) -> Iterator[Composed]:
        """Compose runs for which Hydra applies the same overrides."""
        try:
            template = _Template(self._compose(fixed))
        except (OmegaConfBaseException, ValueError, ConfigCompositionException) as error:
            yield from self._again(fixed, members, error)
            return
        entangled = []
        for run in members:
            places = template.places(frozenset(run.values))
            if places.entangled:
                entangled.append(run.with_fixed(places.entangled))
            else:
                known = run.without(places.unknown) if places.unknown else run
                config = template.filled(known.values, places.of)
                yield Composed(run.number, list(known.overrides), places.unknown, config, template.plain)
        yield from self._composed(entangled)

    def _again(self, fixed: Sequence[str], members: Sequence[_Run], error: Exception) -> Iterator[Composed]:
        """Compose runs that Hydra refused again: without unknown keys, or else with every override left to Hydra."""
        unknown = self._unknown(fixed) if isinstance(error, ConfigCompositionException) else []
        if isinstance(error, ConfigCompositionException) and not unknown:
            raise error
        again = []
        for run in members:
            if unknown:
                again.append(run.without(unknown))
            elif run.values and isinstance(error, OmegaConfBaseException):
                # A value may be needed to resolve another one.
                again.append(run.with_fixed(run.values))
            else:
                yield Composed(run.number, list(run.overrides), [], {}, {}, error)
        for composed in self._composed(again):
            yield composed._replace(unknown=[*unknown, *composed.unknown])

    def _unknown(self, fixed: Sequence[str]) -> list[str]:
        """Keys in ``fixed`` of options that do not exist."""
        changed = {o: self._parse(o).key_or_group for o in fixed if self._changes_an_option(self._parse(o))}
        if not changed:
            return []
        raw = OmegaConf.to_container(self._compose([o for o in fixed if o not in changed]), resolve=False)
        return [key for key in changed.values() if _look_up(raw, key) is _ABSENT]

    def _changes_an_option(self, override: Override) -> bool:
        key = override.key_or_group
        return _is_change(override) and bool(PATH.fullmatch(key)) and not self._is_group(key)


class _Places(NamedTuple):
    """Where values go: key → all paths that get its value; keys without an option; keys that are left to Hydra."""

    of: dict[str, list[str]]
    unknown: list[str]
    entangled: list[str]


class _Template:
    """A configuration in which values can be changed, together with their copies."""

    def __init__(self, config: DictConfig) -> None:
        self.plain: Plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
        self._raw = OmegaConf.to_container(config, resolve=False)
        # Path → paths of its copies; paths that any other interpolation mentions.
        self._copies: dict[str, list[str]] = defaultdict(list)
        self._mentioned: set[str] = set()
        for path, text in _interpolations(self._raw):
            if path and (match := COPY.fullmatch(text)):
                self._copies[match[1]].append(path)
            else:
                # A relative name may mean any option: "" is related to all.
                self._mentioned |= {"" if name.startswith(".") else name.strip(".") for name in NAME.findall(text)}
        self._places: dict[frozenset[str], _Places] = {}

    def places(self, keys: frozenset[str]) -> _Places:
        """Where the values of ``keys`` go."""
        if keys not in self._places:
            self._places[keys] = self._find_places(keys)
        return self._places[keys]

    def _find_places(self, keys: frozenset[str]) -> _Places:
        found = _Places({}, [], [])
        for key in sorted(keys):
            node, paths = _look_up(self._raw, key), self._copied(key, keys)
            if node is _ABSENT:
                found.unknown.append(key)
            elif isinstance(node, dict) or node is _WITHIN or any(map(self._is_entangled, paths)):
                found.entangled.append(key)
            else:
                found.of[key] = paths
        return found

    def _copied(self, key: str, given: frozenset[str]) -> list[str]:
        """``key`` and its direct and indirect copies, without those in ``given``, which get a value themselves."""
        paths = [key]
        for path in paths:
            paths += [copy for copy in self._copies.get(path, ()) if copy not in given and copy not in paths]
        return paths

    def _is_entangled(self, path: str) -> bool:
        """Whether the value at ``path`` is used by an interpolation other than a plain copy."""
        groups = (target for target in self._copies if target != path)
        return any(_related(path, name) for name in (*self._mentioned, *groups))

    def filled(self, values: Mapping[str, Any], paths: Mapping[str, Sequence[str]]) -> Plain:
        """The configuration with other values; unchanged parts are shared."""
        config = dict(self.plain)
        for key, value in values.items():
            for path in paths[key]:
                config = nested.replaced(config, path, value)
        return config


_ABSENT, _WITHIN = object(), object()


def _look_up(raw: Any, path: str) -> Any:
    """What is written at a path: _ABSENT where a group lacks the key, _WITHIN for a path into what is no group."""
    for key in path.split("."):
        if not isinstance(raw, dict):
            return _WITHIN
        if key not in raw:
            return _ABSENT
        raw = raw[key]
    return raw


def _related(one: str, other: str) -> bool:
    """Whether the paths are equal, or one contains the other."""
    return not other or nested.contains(one, other) or nested.contains(other, one)


def _is_change(override: Override) -> bool:
    return override.type == OverrideType.CHANGE and override.package is None


def _is_plain(value: Any) -> bool:
    """Whether resolving leaves a value as it is."""
    if isinstance(value, list):
        return all(_is_plain(entry) and not isinstance(entry, list) for entry in value)
    is_text = isinstance(value, str) and "$" not in value and "\\" not in value and value != "???"
    return value is None or isinstance(value, (bool, int, float)) or is_text


def _interpolations(node: Any, path: str = "", in_list: bool = False) -> Iterator[tuple[str, str]]:
    """Dotted path (none within a list) and text of every value that holds an interpolation."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _interpolations(value, f"{path}.{key}" if path else str(key), in_list)
    elif isinstance(node, list):
        for value in node:
            yield from _interpolations(value, path, in_list=True)
    elif isinstance(node, str) and "${" in node:
        yield "" if in_list else path, node
