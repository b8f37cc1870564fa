"""Options that nothing reads: refused, with the option that was meant."""

from __future__ import annotations

import difflib
import functools
import inspect
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra.core.override_parser.types import Override
from hydra.errors import CompactHydraException, ConfigCompositionException
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from vae_hydra.base.command.errors import UnknownOption

# Groups without a _target_ of their own whose options are the arguments of a class.
ARGUMENTS_OF = {"trainer": "lightning.Trainer"}
# Groups whose entries are read whatever they are called, and those that others check entry by entry.
OF_ANY_NAME = ("callbacks", "logger", "test_noises")
CHECKED_ELSEWHERE = ("hydra", "search.space")
SPECIAL = ("_target_", "_partial_", "_recursive_", "_convert_", "_args_", "name")
REFERENCE = re.compile(r"\$\{(?:oc\.(?:select|deprecated|dict\.keys|dict\.values):)?(\.*)([A-Za-z_][\w.]*)?")

Config = Mapping[str, Any]


def check_known(
    config: DictConfig, name: str, choices: Config, own: Path, overrides: Sequence[str], final: Config
) -> None:
    """Refuse a configuration with an option that nothing reads.

    An option is read if our own configuration has it, if another option refers to it with ``${…}``, or if it is an
    argument of its group's ``_target_``.

    Args:
        config: as composed, interpolations and all.
        name: of the command's configuration.
        choices: group → option that ``config`` was composed from.
        own: the folder of our own configuration.
        overrides: what was typed.
        final: the options that the command goes by, resolved: those of another run too, where it starts from one.

    Raises:
        ValueError: naming the first such option, and the one that may have been meant.
    """
    foreign = [group for group, option in choices.items() if option and not _is_own(group, option, own)]
    if not foreign and not any(override.startswith("+") for override in overrides):
        return  # Hydra refuses what is new unless it has a "+" or is in a file
    raw: Any = OmegaConf.to_container(config, resolve=False)
    ours = {group: option for group, option in choices.items() if option and group not in foreign}
    chosen = [f"{group}={option}" for group, option in sorted(ours.items()) if not set(group) & set("/@")]
    known: Any = OmegaConf.to_container(_composed(name, tuple(chosen)), resolve=False)
    found = next(unread(raw, known, final), None)
    if found is not None:
        raise ValueError(f"{found}: nothing reads this option{suggestion(found, known, final)}")


def unread(config: Config, known: Config, final: Config) -> Iterator[str]:
    """Dotted paths of options of ``config`` that are not in ``known`` and have no effect on what ``final`` makes."""
    references = list(_references(config))
    for path, value in _added(config, known):
        yield from _unread_of(path, value, final, references)


def suggestion(path: str, known: Config, config: Config) -> str:
    """The option that may have been meant by the one at ``path``, or what its group has, as words to add.

    Args:
        path: of an option that nothing reads.
        known: configuration with options that are read.
        config: the one whose group it is in.
    """
    parent, _, leaf = path.rpartition(".")
    group = _at(config, parent) if parent else known
    own = sorted(key for key in group if key not in (*SPECIAL, leaf)) if isinstance(group, Mapping) else []
    near = _nearest(leaf, [*own, *(_arguments(parent, group) or ())])
    if near:
        return f"; did you mean {parent + '.' if parent else ''}{near}?"
    elsewhere = [other for other, _ in _walk(known) if _plain(other.rpartition(".")[2]) == _plain(leaf)]
    if elsewhere:
        return f"; did you mean {min(elsewhere, key=lambda other: (other.count('.'), other))}?"
    return f"; {parent} has {', '.join(own)}" if own and parent else "; leave it out"


def is_named(path: str, config: Config) -> bool:
    """Whether an option that ``config`` does not have would be read if it were added, and is no slip of the pen."""
    parent, _, leaf = path.rpartition(".")
    arguments = _arguments(parent, _at(config, parent)) or ()
    is_slip = leaf not in arguments and _nearest(leaf, [*arguments, *(_at(config, parent) or {})]) is not None
    return not is_slip and not list(_unread_of(path, None, config, list(_references(config))))


def _nearest(name: str, names: Collection[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, names, 1, 0.7)), None)


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def explain_unknown_options() -> None:
    """Let Hydra say which option was meant, in place of its advice to append with ``+`` what nothing reads."""
    original = ConfigLoaderImpl._apply_overrides_to_config
    if hasattr(original, "explains"):
        return

    def apply(overrides: list[Override], cfg: DictConfig) -> None:
        try:
            original(overrides, cfg)
        except ConfigCompositionException as error:
            advice = "To append to your config use +"
            missing = getattr(error.__cause__, "full_key", None)
            if advice not in str(error) or not isinstance(missing, str):
                raise
            raw: Any = OmegaConf.to_container(cfg, resolve=False)
            if is_named(missing, raw):
                raise
            message = f"{missing}: there is no such option{suggestion(missing, raw, raw)}"
            raise UnknownOption(message) from error.__cause__

    apply.explains = True  # type: ignore[attr-defined]
    ConfigLoaderImpl._apply_overrides_to_config = staticmethod(apply)  # type: ignore[method-assign]


def explain_unreadable_files() -> None:
    """Let Hydra name the file of options that cannot be read, in place of the traceback of its YAML parser."""
    original = ConfigRepository.load_config
    if hasattr(original, "explains"):
        return

    def load(self: ConfigRepository, config_path: str) -> Any:
        try:
            return original(self, config_path)
        except CompactHydraException:
            raise
        except (YAMLError, ValueError, OSError, AttributeError, TypeError, AssertionError, RecursionError) as error:
            reason = " ".join(str(error).split())[:500] or type(error).__name__
            raise ConfigCompositionException(
                f"error: {config_path}.yaml cannot be read as options: {reason}"
            ) from error

    load.explains = True  # type: ignore[attr-defined]
    ConfigRepository.load_config = load  # type: ignore[method-assign]


def _is_own(group: str, option: str, own: Path) -> bool:
    folder = group.partition("@")[0]
    return folder.startswith("hydra/") or (own / folder / f"{option}.yaml").is_file()


@functools.lru_cache(maxsize=64)
def _composed(name: str, overrides: tuple[str, ...]) -> DictConfig:
    """Our own configuration with these options of groups and nothing else."""
    return compose(name, list(overrides))


def _added(config: Config, known: Config, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The topmost paths of ``config`` that are not in ``known``, and what is there."""
    for key, value in config.items():
        if key not in known:
            yield f"{prefix}{key}", value
        elif isinstance(value, Mapping):
            inside = known[key]
            yield from _added(value, inside if isinstance(inside, Mapping) else {}, f"{prefix}{key}.")


def _unread_of(path: str, value: Any, final: Config, references: Collection[str]) -> Iterator[str]:
    if any(f"{path}.".startswith(f"{reference}.") for reference in references):
        return
    parent, _, leaf = path.rpartition(".")
    inside = any(reference.startswith(f"{path}.") for reference in references)
    if not inside and not _accepts(parent, leaf, final):
        yield path
        return
    # What is an argument as it stands is read whole, but for the objects within it.
    if isinstance(value, Mapping) and (inside or "_target_" in value or parent in OF_ANY_NAME):
        for key, entry in value.items():
            yield from _unread_of(f"{path}.{key}", entry, final, references)


def _accepts(parent: str, leaf: str, config: Config) -> bool:
    """Whether the group at ``parent`` takes an option of the name ``leaf``."""
    if parent in OF_ANY_NAME or f"{parent}.".startswith(tuple(f"{group}." for group in CHECKED_ELSEWHERE)):
        return True
    arguments = _arguments(parent, _at(config, parent))
    if arguments is not None:
        return leaf in SPECIAL or leaf in arguments or "**" in arguments
    # A plain mapping that is the argument of an object is read whole.
    groups = parent.split(".")
    above = [".".join(groups[:depth]) for depth in range(1, len(groups))]
    return any(_arguments(group, _at(config, group)) is not None for group in above)


def _arguments(path: str, node: Any) -> Collection[str] | None:
    """Names of the arguments of the object that a group makes, ``**`` for any; None for a group that makes none."""
    target = ARGUMENTS_OF.get(path) or (node.get("_target_") if isinstance(node, Mapping) else None)
    return None if target is None else _parameters(str(target))


@functools.lru_cache
def _parameters(target: str) -> Collection[str]:
    try:
        parameters = inspect.signature(get_object(target)).parameters.values()
    except Exception:
        return ("**",)  # making it will say what is wrong with it
    return [("**" if p.kind is p.VAR_KEYWORD else p.name) for p in parameters if p.kind is not p.VAR_POSITIONAL]


def _references(config: Config) -> Iterator[str]:
    """Dotted paths that interpolations of ``config`` name; one that is put together, up to where it is."""
    for path, value in _walk(config):
        for match in REFERENCE.finditer(value) if isinstance(value, str) else ():
            dots, name = match[1], (match[2] or "").rstrip(".")
            above = path.split(".")[: -len(dots)] if dots else []
            if above or name:
                yield ".".join([*above, *([name] if name else [])])


def _walk(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every path below ``node`` and what is there, the entries of lists under the list's own path."""
    for key, value in node.items():
        path = f"{prefix}{key}"
        yield path, value
        if isinstance(value, Mapping):
            yield from _walk(value, f"{path}.")
        elif isinstance(value, (list, tuple)):
            yield from _within(path, value)


def _within(path: str, values: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    for value in values:
        if isinstance(value, Mapping):
            yield from _walk(value, f"{path}.")
        elif isinstance(value, (list, tuple)):
            yield from _within(path, value)
        else:
            yield path, value


def _at(config: Config, path: str) -> Any:
    node: Any = config
    for key in path.split("."):
        node = node.get(key) if isinstance(node, Mapping) else None
    return node
