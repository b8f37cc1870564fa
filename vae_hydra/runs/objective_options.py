"""The options of an objective today, and those from before it was a class, from which names of runs are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ELBO = "vae_hydra.training.objective.ELBO"
IMPORTANCE_WEIGHTED = "vae_hydra.training.importance.ImportanceWeighted"


def upgraded_objective(node: Any) -> Any:
    """The options of an older run's objective in today's terms.

    >>> upgraded_objective({"kl_reduction": "sum", "normalise": False, "bound": "dreg", "draws": 8})["name"]
    'dreg'
    """
    if not isinstance(node, Mapping) or "_target_" in node:
        return node
    bound = node.get("bound", "elbo")
    if bound == "elbo":
        kept = {option: value for option, value in node.items() if option not in ("bound", "draws")}
        return {"name": bound, "_target_": ELBO, **kept}
    draws = {"draws": node["draws"]} if "draws" in node else {}
    return {"name": bound, "_target_": IMPORTANCE_WEIGHTED, **draws, **({"doubly": True} if bound == "dreg" else {})}


def first_objective(node: Any) -> Any:
    """The options from before, where an objective of today existed then; otherwise those of today.

    >>> first_objective({"name": "iwae", "_target_": IMPORTANCE_WEIGHTED, "draws": 8})
    {'kl_reduction': 'sum', 'normalise': False, 'bound': 'iwae', 'draws': 8}
    """
    if not isinstance(node, Mapping) or node.get("_target_") != IMPORTANCE_WEIGHTED or node.get("groups", 1) != 1:
        return node
    kept = {option: value for option, value in node.items() if option not in ("name", "_target_", "groups", "doubly")}
    return {"kl_reduction": "sum", "normalise": False, "bound": "dreg" if node.get("doubly") else "iwae", **kept}
