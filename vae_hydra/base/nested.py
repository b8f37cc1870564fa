"""Nested mappings by dotted paths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def flat(node: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted path → value of everything in ``node``."""
    return dict(_flatten(node))


def _flatten(node: Any, path: str = "") -> Iterable[tuple[str, Any]]:
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from _flatten(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, node
