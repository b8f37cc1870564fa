"""What a run's folder holds after training, compared."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from vae_hydra.training.history import read_epochs


def outcome(folder: Path) -> tuple[dict, list, dict]:
    """Weights, metrics by epoch and test scores, without what measures time."""
    weights = torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]
    rows = [{k: v for k, v in row.items() if "seconds" not in k} for row in read_epochs(folder / "metrics.csv")]
    return weights, rows, json.loads((folder / "metrics.json").read_text())


def assert_same_outcome(one: Path, other: Path) -> None:
    (weights, *rest), (other_weights, *other_rest) = outcome(one), outcome(other)
    assert weights.keys() == other_weights.keys()
    assert not [name for name, value in weights.items() if not torch.equal(value, other_weights[name])]
    assert rest == other_rest
