"""Options that nothing reads: refused, with the option that was probably meant."""

from __future__ import annotations

import difflib
import functools
import inspect
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from vae_hydra.base import nested
from vae_hydra.base.command.groups import choices_with

# Groups without a _target_ of their own whose options are the arguments of a class.
ARGUMENTS_OF = {"trainer": "lightning.Trainer"}
# Groups whose entries may have any name, and groups that other code checks entry by entry.
OF_ANY_NAME = ("callbacks", "logger", "test_noises")
CHECKED_ELSEWHERE = ("hydra", "search.space")
SPECIAL = ("_target_", "_partial_", "_recursive_", "_convert_", "_args_", "name")
REFERENCE = re.compile(r"\$\{(?:oc\.(?:select|deprecated|dict\.keys|dict\.values):)?(\.*)([A-Za-z_][\w.]*)?")

Config = Mapping[str, Any]


def check_known(
    config: DictConfig, name: str, choices: Config, own_folder: Path, overrides: Sequence[str], final: Config
) -> None:
    """Refuse a configuration with an option that nothing reads.

    An option is read if our own configuration has it, if another option refers to it with ``${…}``, or if it is an
    argument of its group's ``_target_``.

    Args:
        config: as composed, with its interpolations.
        name: of the command's configuration.
        choices: group → option that ``config`` was composed from.
        own_folder: the folder of our own configuration.
        overrides: from the command line.
        final: the resolved options of the command, with those of another run that it starts from.

    Raises:
        ValueError: naming the first such option, and the one that was probably meant.
    """
    foreign = [group for group, option in choices.items() if option and not _is_own(group, option, own_folder)]
    if not foreign and not any(override.startswith("+") for override in overrides):
        return  # Hydra itself refuses a new option without a "+"
    raw: Any = OmegaConf.to_container(config, resolve=False)
    ours = {group: option for group, option in choices.items() if option and group not in foreign}
    chosen = [f"{group}={option}" for group, option in sorted(ours.items()) if not set(group) & set("/@")]
    known: Any = OmegaConf.to_container(_composed(name, tuple(chosen)), resolve=False)
    found = next(unread(raw, known, final), None)
    if found is not None:
        raise ValueError(f"{found}: nothing reads this option{suggestion(found, known, final)}")


def unread(config: Config, known: Config, final: Config) -> Iterator[str]:
    """Dotted paths of the options of ``config`` that are not in ``known`` and that no object of ``final`` takes."""
    references = list(_references(config))
    for path, value in _added(config, known):
        yield from _unread_of(path, value, final, references)


def suggestion(path: str, known: Config, config: Config) -> str:
    """The end of a message about the unread option at ``path``: a similar option, or those of its group.

    Args:
        path: of the option.
        known: a configuration of options that are read.
        config: the configuration that has the option.
    """
    parent, _, leaf = path.rpartition(".")
    group = nested.get(config, parent) if parent else known
    siblings = sorted(key for key in group if key not in (*SPECIAL, leaf)) if isinstance(group, Mapping) else []
    near = _nearest(leaf, [*siblings, *(_arguments(parent, group) or ())])
    if near:
        return f"; did you mean {parent + '.' if parent else ''}{near}?"
    if owners := choices_with(path):
        return f"; it belongs to {path.partition('.')[0]}={'|'.join(owners)}"
    elsewhere = [
        other
        for other, _ in nested.walk(known)
        if _plain(other.rpartition(".")[2]) == _plain(leaf) and not other.startswith("hydra.")
    ]
    if elsewhere:
        return f"; did you mean {min(elsewhere, key=lambda other: (other.count('.'), other))}?"
    return f"; {parent} has {', '.join(siblings)}" if siblings and parent else "; leave it out"


def is_named(path: str, config: Config) -> bool:
    """Whether an option that ``config`` lacks would be read if it were added, and is no misspelling of another."""
    parent, _, leaf = path.rpartition(".")
    arguments = _arguments(parent, nested.get(config, parent)) or ()
    is_misspelt = (
        leaf not in arguments and _nearest(leaf, [*arguments, *(nested.get(config, parent) or {})]) is not None
    )
    return not is_misspelt and not list(_unread_of(path, None, config, list(_references(config))))


def _nearest(name: str, names: Collection[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, names, 1, 0.7)), None)


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _is_own(group: str, option: str, own_folder: Path) -> bool:
    folder = group.partition("@")[0]
    return folder.startswith("hydra/") or (own_folder / folder / f"{option}.yaml").is_file()


@functools.lru_cache(maxsize=64)
def _composed(name: str, overrides: tuple[str, ...]) -> DictConfig:
    """Our own configuration with these overrides."""
    return compose(name, list(overrides))


def _added(config: Config, known: Config, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Paths and values of ``config`` that are not in ``known``, without those within them."""
    for key, value in config.items():
        if key not in known:
            yield f"{prefix}{key}", value
        elif isinstance(value, Mapping):
            inside = known[key]
            yield from _added(value, inside if isinstance(inside, Mapping) else {}, f"{prefix}{key}.")


def _unread_of(path: str, value: Any, final: Config, references: Collection[str]) -> Iterator[str]:
    if any(nested.contains(reference, path) for reference in references):
        return
    parent, _, leaf = path.rpartition(".")
    inside = any(reference.startswith(f"{path}.") for reference in references)
    if not inside and not _accepts(parent, leaf, final):
        yield path
        return
    # An argument that is a plain mapping is read whole; objects within it are not.
    if isinstance(value, Mapping) and (inside or "_target_" in value or parent in OF_ANY_NAME):
        for key, entry in value.items():
            yield from _unread_of(f"{path}.{key}", entry, final, references)


def _accepts(parent: str, leaf: str, config: Config) -> bool:
    """Whether the group at ``parent`` takes an option of the name ``leaf``."""
    if parent in OF_ANY_NAME or any(nested.contains(group, parent) for group in CHECKED_ELSEWHERE):
        return True
    arguments = _arguments(parent, nested.get(config, parent))
    if arguments is not None:
        return leaf in SPECIAL or leaf in arguments or "**" in arguments
    # A plain mapping that is the argument of an object is read whole.
    groups = parent.split(".")
    above = [".".join(groups[:depth]) for depth in range(1, len(groups))]
    return any(_arguments(group, nested.get(config, group)) is not None for group in above)


def _arguments(path: str, node: Any) -> Collection[str] | None:
    """Names of the arguments of the object that a group describes, ``**`` for any; None if it describes none."""
    target = ARGUMENTS_OF.get(path) or (node.get("_target_") if isinstance(node, Mapping) else None)
    return None if target is None else _parameters(str(target))


@functools.lru_cache
def _parameters(target: str) -> Collection[str]:
    try:
        parameters = inspect.signature(get_object(target)).parameters.values()
    except Exception:
        return ("**",)  # instantiating it will raise the better error
    return [("**" if p.kind is p.VAR_KEYWORD else p.name) for p in parameters if p.kind is not p.VAR_POSITIONAL]


def _references(config: Config) -> Iterator[str]:
    """Dotted paths that interpolations of ``config`` name; of a nested interpolation the part before it."""
    for path, value in nested.walk(config):
        for match in REFERENCE.finditer(value) if isinstance(value, str) else ():
            dots, name = match[1], (match[2] or "").rstrip(".")
            above = path.split(".")[: -len(dots)] if dots else []
            if above or name:
                yield ".".join([*above, *([name] if name else [])])
