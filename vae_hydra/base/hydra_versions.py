"""Hydra 1.3 and 1.4 behind one interface: what the newer version renamed, deprecated or added."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.utils import instantiate
from omegaconf import OmegaConf

# Hydra 1.4 with OmegaConf 2.4 has execution whitelists; 1.3 with 2.3 has none.
HAS_WHITELIST = hasattr(hydra.utils, "execution_whitelist")
# Hydra 1.3 warns without version_base, 1.4 warns with it.
VERSION_BASE: dict[str, Any] = {} if HAS_WHITELIST else {"version_base": "1.3"}


def main(config_path: str, config_name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Hydra's decorator of a command; arguments as for ``hydra.main``.

    Under Hydra 1.4, callbacks and logging of Hydra's own configuration may name no package but ours.
    """
    policy: dict[str, Any] = {"execution_whitelist": ["vae_hydra.*"]} if HAS_WHITELIST else VERSION_BASE
    return hydra.main(config_path=config_path, config_name=config_name, **policy)


def initialized(config_folder: str) -> AbstractContextManager[None]:
    """A context in which ``hydra.compose`` reads the files of a folder, given by its absolute path."""
    return hydra.initialize_config_dir(config_folder, **VERSION_BASE)


def register_resolver(name: str, resolver: Callable[..., Any]) -> None:
    """Make ``${name:…}`` known to OmegaConf; an earlier resolver of this name is replaced."""
    # OmegaConf 2.3 has a function of the newer name, with another meaning.
    register = getattr(OmegaConf, "register_resolver" if HAS_WHITELIST else "register_new_resolver")
    register(name, resolver, replace=True)


def store_option(group: str, name: str, node: Mapping[str, Any]) -> None:
    """Add an option to a group, or replace the one that a plugin of another package has added."""
    policy: dict[str, Any] = {"replace": True} if HAS_WHITELIST else {}
    ConfigStore.instance().store(group=group, name=name, node=dict(node), provider="vae_hydra", **policy)


def instantiated(node: Mapping[str, Any], allowed: Sequence[str], **arguments: Any) -> Any:
    """The object that ``node`` describes by its ``_target_``, made with plain arguments.

    Args:
        node: its options.
        allowed: targets that Hydra may call, ``package.*`` for those of a package. Only Hydra 1.4 heeds them.
        arguments: further ones, which override ``node``.

    Raises:
        hydra.errors.InstantiationException: for a target that is not allowed, or an error of the target itself.
    """
    policy = {"_execution_whitelist_": list(allowed)} if HAS_WHITELIST else {}
    return instantiate(node, _convert_="all", **policy, **arguments)
