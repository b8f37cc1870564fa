"""What a configuration that came with a checkpoint may name: a stranger's file must not run code."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

# Not all of vae_hydra: parts of it write files.
ALLOWED_PACKAGES = (
    "vae_hydra.beta",
    "vae_hydra.data",
    "vae_hydra.distributions",
    "vae_hydra.likelihoods",
    "vae_hydra.networks",
    "vae_hydra.noise",
    "vae_hydra.samplers",
    "torch.distributions",
    "torch.nn",
    "torch.optim",
)


def check_targets(config: Any, trust: Sequence[str] = ()) -> None:
    """Refuse a configuration that could run code we did not choose.

    Every ``_target_`` must resolve to a class or function defined in an allowed package: the place it
    is defined counts, not the path that leads there, because modules hold other modules.

    Raises:
        ValueError: naming the target.
    """
    if isinstance(config, Mapping):
        if "_target_" in config:
            _check_target(config["_target_"], (*ALLOWED_PACKAGES, *trust))
        for value in config.values():
            check_targets(value, trust)
    elif isinstance(config, (list, tuple)):
        for value in config:
            check_targets(value, trust)


def _check_target(target: Any, allowed: Sequence[str]) -> None:
    def inside(name: str) -> bool:
        return any(name == package or name.startswith(f"{package}.") for package in allowed)

    refusal = ValueError(
        f"the configuration names the target {target!r}, which is not defined in {', '.join(allowed)}. "
        "If you trust it, name its package in trust=[PACKAGE]"
    )
    if not isinstance(target, str) or not inside(target):
        raise refusal
    module_name, _, attribute = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise refusal from error
    if not inside(getattr(found, "__module__", None) or ""):
        raise refusal
