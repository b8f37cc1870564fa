"""Nodes of a configuration → objects, with errors that name the option."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from vae_hydra.base import checks

Config = Mapping[str, Any]


def node_at(config: Config, path: str) -> Config:
    """The group of options at a dotted path; ValueError if there is none."""
    node: Any = config
    for key in path.split("."):
        node = node.get(key) if isinstance(node, Mapping) else None
    return checks.group(path, node)


def make(key: str, node: Config, **arguments: Any) -> Any:
    """Instantiate one node of the configuration; its ``name`` is for people unless it is the noise's."""
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise ValueError(f"{key} must be a group of options with a _target_, but got {node!r}")
    is_noise = key.split(".")[0] in ("noise", "test_noises")
    options = dict(node) if is_noise else {name: value for name, value in node.items() if name != "name"}
    with naming(key):
        return instantiate(options, _convert_="all", **arguments)


@contextmanager
def naming(key: str) -> Iterator[None]:
    """Turn errors about values of the configuration into a ValueError that says which part of it."""
    try:
        yield
    except InstantiationException as error:
        raise ValueError(_reason(key, error.__cause__ or error)) from error
    except (TypeError, ValueError, LookupError, ArithmeticError, ImportError, MisconfigurationException) as error:
        raise ValueError(_reason(key, error)) from error


def _reason(key: str, error: BaseException) -> str:
    message = str(error).strip()
    return message if key.split(".")[0] in message else f"{key}: {message}"
