"""Nested mappings by dotted paths: ``model.encoder.widths``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# What ``get`` returns for a path that leads nowhere, because None is a value.
MISSING: Any = type("Missing", (), {"__repr__": lambda self: "MISSING", "__bool__": lambda self: False})()
Tree = dict[str, Any]


def get(tree: Any, path: str, default: Any = None) -> Any:
    """The value at ``path``; ``default`` where a key is missing or a mapping is.

    >>> get({"model": {"latent_dim": 2}}, "model.latent_dim"), get({"model": 1}, "model.latent_dim")
    (2, None)
    """
    for key in path.split("."):
        if not isinstance(tree, Mapping) or key not in tree:
            return default
        tree = tree[key]
    return tree


def has(tree: Any, path: str) -> bool:
    """Whether there is a value at ``path``."""
    return get(tree, path, MISSING) is not MISSING


def put(tree: Tree, path: str, value: Any) -> None:
    """Set the value at ``path``; a mapping is made wherever the path needs one."""
    *parents, leaf = path.split(".")
    for parent in parents:
        if not isinstance(tree.get(parent), dict):
            tree[parent] = {}
        tree = tree[parent]
    tree[leaf] = value


def replaced(tree: Mapping[str, Any], path: str, value: Any) -> Tree:
    """A copy of ``tree`` with another value at ``path``, whose parents are mappings; all other parts are shared."""
    key, _, rest = path.partition(".")
    return {**tree, key: replaced(tree[key], rest, value) if rest else value}


def delete(tree: Tree, path: str) -> None:
    """Remove the value at ``path``, if there is one."""
    parent, _, leaf = path.rpartition(".")
    node = get(tree, parent) if parent else tree
    if isinstance(node, dict):
        node.pop(leaf, None)


def flat(tree: Any, prefix: str = "") -> Tree:
    """Dotted path → value of every leaf; an empty mapping is a leaf.

    >>> flat({"seed": 0, "model": {"encoder": {"widths": [8]}}, "classifier": {}})
    {'seed': 0, 'model.encoder.widths': [8], 'classifier': {}}
    """
    return dict(_leaves(tree, prefix))


def _leaves(tree: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, tree


def walk(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every dotted path and its value, a mapping before its entries; entries of a list have the list's path."""
    for key, value in tree.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        yield path, value
        yield from _within(path, value)


def _within(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from walk(value, path)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            if not isinstance(entry, (Mapping, list, tuple)):
                yield path, entry
            yield from _within(path, entry)


def merged(tree: Mapping[str, Any], other: Mapping[str, Any]) -> Tree:
    """``tree`` with the values of ``other`` in place of its own; mappings are merged key by key."""
    both = {key: value for key, value in tree.items() if isinstance(value, Mapping) and key in other}
    inner = {key: merged(value, other[key]) for key, value in both.items() if isinstance(other[key], Mapping)}
    return {**tree, **other, **inner}


def contains(parent: str, path: str) -> bool:
    """Whether ``path`` is ``parent`` or lies within it."""
    return path == parent or path.startswith(f"{parent}.")
