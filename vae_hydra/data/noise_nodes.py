"""The noises that a run is tested on, from its configuration; without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vae_hydra.base import checks


def nodes_to_test(noise: Mapping[str, Any], test_noises: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    """Configurations of the noises in a run's denoising test, by name: the training noise first.

    The training noise replaces a test noise of the same name, and its mode applies to all, because the encoder
    accepts no other. Nodes with a null distribution add no noise and are left out.

    Args:
        noise: the run's node ``noise``.
        test_noises: the run's node ``test_noises``; None in runs older than that option.

    Raises:
        ValueError: for a test noise without a name, or two of the same name.
    """
    mode = {"mode": noise["mode"]} if "mode" in noise else {}
    nodes, keys = {str(noise.get("name")): noise}, dict[str, str]()
    for key, node in checks.group("test_noises", test_noises or {}).items():
        if node is None:
            continue
        path = f"test_noises.{key}"
        name = checks.plain_name(f"{path}.name", checks.group(path, node).get("name"))
        if name in keys:
            raise ValueError(f"{keys[name]} and {path} are both called {name!r}; give {path}.name another word")
        keys[name] = path
        nodes.setdefault(name, {**node, **mode})
    return {name: node for name, node in nodes.items() if node.get("distribution", ...) is not None}
