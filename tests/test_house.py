"""The house: a file imports only from floors below its own."""

from __future__ import annotations

import ast
from pathlib import Path

import vae_hydra

PACKAGE = Path(vae_hydra.__file__).parent
FLOORS = [
    {"arguments", "checks", "files", "integrity", "system_errors"},
    {
        "history",
        "distributions",
        "networks",
        "beta",
        "objective",
        "plots",
        "condition",
        "generation",
        "latents",
        "feature_distances",
        "noise_nodes",
        "randomness",
        "image_folder",
        "correlation",
        "auroc",
        "complexity",
        "study",
        "errors",
        "identity",
        "composition",
        "config_loader",
        "scoring",
        "ownership",
    },
    {"noise", "protocols", "samplers", "likelihoods", "sources"},
    {"vae", "metrics", "splits", "loaders", "loggers"},
    {"data", "module", "marginal"},
    {"anatomy", "compatibility", "scores", "trust", "posteriors", "recognition", "run", "partial"},
    {"panels"},
    {"callbacks"},
    {
        "build",
        "examine",
        "exploring",
        "generators",
        "outliers",
        "reporting",
        "sharing",
        "experiment_file",
        "known_options",
    },
    {"cli", "warm_start", "classifier_cache", "saved", "sweep_table", "outlier_sets", "facts", "plan", "workers"},
    {"sweep", "search_space", "search_results", "overview"},
    {"train", "evaluate", "generate", "embed", "explore", "figures", "ood", "export", "info", "report"},
    {"search"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vae_hydra"):
            parts = (node.module or "").split(".")
            rooms |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return rooms


def test_imports_only_go_down():
    files = [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py" and "conf" not in path.parts]
    assert {room_of(path) for path in files} == FLOOR.keys()
    upward = [
        f"{path.relative_to(PACKAGE)} imports {room}"
        for path in files
        for room in imported_rooms(path) - {room_of(path)}
        if FLOOR[room] >= FLOOR[room_of(path)]
    ]
    assert not upward
