"""Configurations of older runs, in today's terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vae_hydra._moved import new_name


def upgrade(config: Mapping[str, Any]) -> dict[str, Any]:
    """A saved configuration with today's names of classes."""
    return {key: _renamed(key, value) for key, value in config.items()}


def _renamed(key: Any, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {inner: _renamed(inner, entry) for inner, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_renamed(None, entry) for entry in value]
    return new_name(value) if key == "_target_" and isinstance(value, str) else value
