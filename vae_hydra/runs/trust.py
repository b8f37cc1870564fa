"""Names that a checkpoint's configuration may use: a stranger's file must not run code."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import nn
from torch.distributions import Distribution
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from vae_hydra.base import nested
from vae_hydra.data.datamodule import DataModule
from vae_hydra.data.examples import Source
from vae_hydra.training.beta import BetaSchedule
from vae_hydra.training.objective import Objective

# Only classes of these kinds, and the functions that provide data: other content of modules imports, loads or writes.
ALLOWED_PACKAGES = ("vae_hydra", "torch.distributions", "torch.nn", "torch.optim")
ALLOWED_KINDS = (
    nn.Module,
    Distribution,
    BetaSchedule,
    Objective,
    DataModule,
    Optimizer,
    LRScheduler,
    ReduceLROnPlateau,
)
# The package of the functions that provide data: those with the return annotation Source.
SOURCES = "vae_hydra.data.sources"
# Where they may be named.
SOURCE_PATHS = ("dataset.source", "dataset.contaminant")
ALLOWED_KEYS = ("_target_", "_partial_")
# Packages whose objects the user's own configuration may always use.
OWN_PACKAGES = ("vae_hydra", "torch", "lightning")
# What a stored configuration is trusted with; None while objects are made from the user's own.
_TRUST_IN_STORED: ContextVar[tuple[str, ...] | None] = ContextVar("trust in stored configurations", default=None)


def check_config(config: Any, trust: str | Sequence[str] = (), path: str = "") -> None:
    """Refuse a configuration that could run other code than models, data and training need.

    A ``_target_`` must be a class of ``ALLOWED_KINDS`` defined in ``ALLOWED_PACKAGES``. Only ``dataset.source`` and
    ``dataset.contaminant`` may be functions of ``SOURCES`` too, because a model must not read files. The object itself
    is checked, not the path to it, because modules hold other modules. Interpolations and Hydra's other special keys
    are refused: they could create a target after the check. A stored configuration has none.

    Args:
        config: nested mappings, lists and plain values.
        trust: further packages, all of whose names are allowed.
        path: dotted path of ``config`` in the whole configuration.

    Raises:
        ValueError: with the name that is refused.
    """
    trusted = _packages(trust)
    if isinstance(config, Mapping):
        for key, value in config.items():
            _check_key(key)
            if key == "_target_":
                _check_target(value, trusted, path)
            check_config(value, trusted, f"{path}.{key}".lstrip("."))
    elif isinstance(config, (list, tuple)):
        for value in config:
            check_config(value, trusted, f"{path}[]")
    elif isinstance(config, str) and "${" in config:
        raise ValueError(f"the checkpoint's configuration holds an interpolation, {config!r}, which is not trusted")


@contextmanager
def from_stored(trust: str | Sequence[str] = ()) -> Iterator[None]:
    """Within, objects are made from a stored configuration, and ``permitted`` leaves nothing to its own names."""
    token = _TRUST_IN_STORED.set(_packages(trust))
    try:
        yield
    finally:
        _TRUST_IN_STORED.reset(token)


def permitted(node: Mapping[str, Any]) -> list[str]:
    """Targets that Hydra 1.4 may call to make the object of ``node``, the second check after ``check_config``.

    Of a stored configuration these are ``ALLOWED_PACKAGES`` and the packages that the user trusts, also where a name
    within an allowed package leads out of it. The user's own configuration may name any installed package, but not
    Python's standard library.
    """
    named = {value for path, value in nested.walk(node) if path.rpartition(".")[2] == "_target_"}
    trusted = _TRUST_IN_STORED.get()
    if trusted is None:
        trusted = tuple({str(target).partition(".")[0] for target in named} - sys.stdlib_module_names)
        packages = {*OWN_PACKAGES, *trusted}
    else:
        packages = {*ALLOWED_PACKAGES, *trusted}
    # A name in a trusted package is trusted wherever its object is defined.
    exact = {target for target in named if isinstance(target, str) and _inside(target, trusted)}
    return sorted({*exact, *(f"{package}.*" for package in packages)})


def _packages(trust: Any) -> tuple[str, ...]:
    packages = (trust,) if isinstance(trust, str) else trust
    if not isinstance(packages, (list, tuple)) or not all(isinstance(package, str) for package in packages):
        raise ValueError(f"trust must be a list of packages, as in trust=[my_samplers], but got {trust!r}")
    return tuple(packages)


def _check_key(key: Any) -> None:
    special = isinstance(key, str) and key.startswith("_") and key not in ALLOWED_KEYS
    if not isinstance(key, str) or special or "${" in key:
        raise ValueError(f"the checkpoint's configuration holds the key {key!r}, which is not trusted")


def _check_target(target: Any, trusted: Sequence[str], path: str) -> None:
    if isinstance(target, str) and _inside(target, trusted):
        return
    if not (isinstance(target, str) and _inside(target, ALLOWED_PACKAGES) and _is_allowed(_resolve(target), path)):
        raise ValueError(
            f"the checkpoint's configuration names the target {target!r}, which is none of the models, distributions, "
            f"schedules, optimizers and datasets of {', '.join((*ALLOWED_PACKAGES, *trusted))}. "
            "If you trust it, name its package: trust=[PACKAGE]"
        )


def _resolve(target: str) -> Any:
    """The object with a public dotted name; None if there is none."""
    module_name, _, attribute = target.rpartition(".")
    if any(part.startswith("_") for part in target.split(".")):
        return None
    try:
        return getattr(importlib.import_module(module_name), attribute, None)
    except ImportError:
        return None


def _is_allowed(found: Any, path: str) -> bool:
    if inspect.isclass(found):
        return issubclass(found, ALLOWED_KINDS) and _inside(found.__module__, ALLOWED_PACKAGES)
    return path in SOURCE_PATHS and _is_source(found)


def _is_source(found: Any) -> bool:
    """Whether an object is one of our functions that provide data."""
    if not inspect.isfunction(found) or not _inside(found.__module__, [SOURCES]):
        return False
    return inspect.signature(found).return_annotation in (Source, Source.__name__)


def _inside(name: str, packages: Sequence[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)
