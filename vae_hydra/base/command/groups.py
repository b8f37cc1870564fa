"""The groups of options, and their help."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from vae_hydra.base import nested
from vae_hydra.base.command.configuration import config_folder, hydra_in_use, plain


@functools.cache
def options_help() -> str:
    """The help text on all groups: each option with the first comment line of its file, the defaults marked."""
    root = config_folder()
    entries = [entry for entry in OmegaConf.load(root / "train.yaml").defaults if isinstance(entry, DictConfig)]
    defaults = {(str(group), option) for entry in entries for group, option in entry.items()}
    blocks = []
    groups = {str(group) for entry in entries for group in entry}
    for group in sorted(path for path in root.iterdir() if path.is_dir() and path.name in groups):
        # A file whose name begins with an underscore is a part of options.
        files = group.rglob("[!_]*.yaml")
        options = {file.relative_to(group).with_suffix("").as_posix(): _title(file) for file in files}
        marks = {option: " (default)" if (group.name, option) in defaults else "" for option in options}
        width = max(26, *(len(option) for option in options))
        lines = [f"  {option:<{width}} {title}{marks[option]}" for option, title in sorted(options.items())]
        blocks.append("\n".join([f"{group.name}=", *lines]))
    return "\n\n".join(blocks)


def _title(file: Path) -> str:
    comments = (line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("# "))
    return next((line[2:] for line in comments if not line.startswith("# @package")), "")


def option_names(group: str) -> list[str]:
    """The options of a group, with those from --config-dir."""
    with hydra_in_use():
        names = GlobalHydra.instance().config_loader().get_group_options(group)
    return [name for name in names if not name.startswith("_")]


def choices_with(path: str) -> list[str]:
    """The choices of a group that have the option at ``path``, such as those of ``likelihood`` with a scale."""
    group, _, option = path.partition(".")
    files = (config_folder() / group).rglob("[!_]*.yaml") if option else []
    return sorted(file.stem for file in files if nested.has(_own_options(file), option))


def has_option(choice: str, path: str) -> bool:
    """Whether a choice of a group has the option at ``path``; of choices that are not our own, any may be theirs."""
    owners = choices_with(path)
    is_ours = any(file.stem == choice for file in (config_folder() / path.partition(".")[0]).rglob("[!_]*.yaml"))
    return choice in owners or not owners or not is_ours


@functools.cache
def _own_options(file: Path) -> dict[str, Any]:
    """The options in a file, and in those of its folder that it builds on."""
    options: Any = OmegaConf.to_container(OmegaConf.load(file), resolve=False) or {}
    parts = [entry for entry in options.pop("defaults", []) if isinstance(entry, str) and entry != "_self_"]
    below = [_own_options(file.with_name(f"{part}.yaml")) for part in parts if file.with_name(f"{part}.yaml").is_file()]
    return {key: value for each in (*below, options) for key, value in each.items()}


def option(group: str, name: str) -> dict[str, Any]:
    """The values of one option of a group."""
    with hydra_in_use():
        return plain(compose(None, [f"+{group}={name}"]))[group]
