"""Groups of options → objects, with errors that name the group."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.distributions import Distribution

from vae_hydra.base import checks, nested
from vae_hydra.base.hydra_versions import instantiated
from vae_hydra.runs.trust import permitted

Config = Mapping[str, Any]


def node_at(config: Config, path: str) -> Config:
    """The group of options at a dotted path; ValueError if there is none."""
    return checks.group(path, nested.get(config, path))


def make(key: str, node: Config, **arguments: Any) -> Any:
    """The object that a group of options describes; only a noise takes its ``name`` as an argument."""
    _check_target(key, node)
    is_noise = key.split(".")[0] in ("noise", "test_noises")
    options = dict(node) if is_noise else {name: value for name, value in node.items() if name != "name"}
    with naming(key), _validating():
        return instantiated(options, permitted(options), **arguments)


@contextmanager
def _validating() -> Iterator[None]:
    """Let distributions check their arguments, which torch.compile and torch.export switch off for a whole process."""
    before = Distribution._validate_args
    Distribution.set_default_validate_args(True)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


def parameters_of(key: str, node: Config) -> list[str]:
    """Names of the arguments of the class that a group of options describes."""
    _check_target(key, node)
    with naming(key):
        return list(inspect.signature(get_object(node["_target_"])).parameters)


def asked_for(key: str, config: Config, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``arguments`` that the class of a group at the top takes by name."""
    names = parameters_of(key, node_at(config, key))
    return {name: value for name, value in arguments.items() if name in names}


def _check_target(key: str, node: Config) -> None:
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise ValueError(f"{key} must be a group of options with a _target_, but got {node!r}")


@contextmanager
def naming(key: str) -> Iterator[None]:
    """Turn errors about values of the configuration into a ValueError that names the group ``key``."""
    try:
        yield
    except InstantiationException as error:
        raise ValueError(_reason(key, error.__cause__ or error)) from error
    except (TypeError, ValueError, LookupError, ArithmeticError, ImportError, MisconfigurationException) as error:
        raise ValueError(_reason(key, error)) from error


def _reason(key: str, error: BaseException) -> str:
    message = str(error).strip()
    return message if key.split(".")[0] in message else f"{key}: {message}"
