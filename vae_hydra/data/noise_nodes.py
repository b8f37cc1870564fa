"""Which noises a run is tested on, as its configuration says; without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vae_hydra.base import checks


def nodes_to_test(own: Mapping[str, Any], others: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    """Configurations of the noises that a run denoises in its test, by name: its own first, then the others.

    Its own wins over one of the same name; the others are in its mode, because its encoder takes no other. A
    distribution that is null is no noise and is left out.

    Args:
        own: the node ``noise`` of the run.
        others: its node ``test_noises``; runs from before there was one have None.

    Raises:
        ValueError: for one without a name, or two of the others that share one.
    """
    mode = {"mode": own["mode"]} if "mode" in own else {}
    nodes, keys = {str(own.get("name")): own}, dict[str, str]()
    for key, node in checks.group("test_noises", others or {}).items():
        if node is None:
            continue
        path = f"test_noises.{key}"
        name = checks.plain_name(f"{path}.name", checks.group(path, node).get("name"))
        if name in keys:
            raise ValueError(f"{keys[name]} and {path} are both called {name!r}; give {path}.name another word")
        keys[name] = path
        nodes.setdefault(name, {**node, **mode})
    return {name: node for name, node in nodes.items() if node.get("distribution", ...) is not None}
