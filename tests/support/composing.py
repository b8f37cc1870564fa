"""Configurations as the command line would make them."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from tests.support.device import TRAINED_ON
from vae_hydra.base.command import cli
from vae_hydra.base.command.configuration import config_folder, plain
from vae_hydra.base.hydra_versions import initialized
from vae_hydra.runs.resolve import without_hydra
from vae_hydra.studies.sweep.assembly import Assembler
from vae_hydra.studies.sweep.register import register

# Small enough for a test, large enough to exercise everything.
QUICK = (
    *("trainer.max_epochs=2", TRAINED_ON, "callbacks.figures.enabled=false"),
    "callbacks.checkpoints.every_seconds=0",
)
CONF = cli.prepare()
register()
REPOSITORY = Path(__file__).resolve().parents[2]


def composed(*overrides: str, name: str = "train") -> dict:
    """A command's configuration as the command line would make it."""
    with initialized(CONF):
        return plain(composition(name, list(overrides)))


def composition(name: str, overrides: list[str]) -> DictConfig:
    """What Hydra composes. Choosing groups takes most of its time, so that each choice is made once."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    exists = GlobalHydra.instance().config_loader().repository.group_exists
    values = [one for one in parsed if not exists(one.key_or_group)]
    if any(one.is_delete() or one.is_sweep_override() for one in parsed):
        return compose(name, overrides)
    # To unpickle a configuration takes a fifth of the time of copying it.
    config = pickle.loads(chosen(name, tuple(one.input_line for one in parsed if one not in values)))
    ConfigLoaderImpl._apply_overrides_to_config(values, config)
    return config


@functools.cache
def chosen(name: str, groups: tuple[str, ...]) -> bytes:
    """The configuration with some options of groups, pickled."""
    if name == "train" and set(groups) & set(NOT_YET_COMPOSED):
        # An option of every other group is learnt from the same configuration.
        others = {one.split("=")[0]: one for one in NOT_YET_COMPOSED}
        row = [*(others | {one.split("=")[0]: one for one in groups if one in NOT_YET_COMPOSED}).values()]
        assembler(name)(row)
        for one in row:
            NOT_YET_COMPOSED.pop(one)
    return pickle.dumps(assembler(name)(groups)[0])


@functools.cache
def assembler(name: str) -> Assembler:
    def with_choices(overrides: Sequence[str]) -> tuple[DictConfig, dict[str, Any]]:
        return without_hydra(compose(name, list(overrides), return_hydra_config=True))

    made = Assembler(with_choices, GlobalHydra.instance().config_loader())
    made(())
    return made


def options(group: str) -> list[str]:
    """The options of a group of configurations, as the command line names them."""
    root = config_folder() / group
    return sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("[!_]*.yaml"))


def cases(*groups: str) -> list[str]:
    """Every option of the groups, as it is chosen on the command line."""
    return [f"{group}={option}" for group in groups for option in options(group)]


# Options of groups that are confined to themselves: sampler=normal, …
NOT_YET_COMPOSED = dict.fromkeys(
    cases(
        *("model", "sampler", "prior", "dataset", "noise", "beta", "objective", "likelihood", "condition"),
        *("classifier", "optimizer", "scheduler", "callbacks", "logger"),
    )
)
