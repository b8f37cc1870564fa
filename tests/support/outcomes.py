"""What a run's folder holds after training, compared."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
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


def assert_scores_agree(scores: dict[str, float], size: int) -> None:
    """Every score is finite, and under every protocol half-SSE = D/2 · MSE per pixel and ELBO = log-likelihood − KL.

    ``size`` is D, the number of values in an example. A plain autoencoder has no ELBO.
    """
    assert not {name: value for name, value in scores.items() if not math.isfinite(value)}
    protocols = [name.removesuffix("/half_sse") for name in scores if name.endswith("/half_sse")]
    assert "reconstruct/clean" in protocols
    for protocol in protocols:
        half_sse, mse, log_likelihood, kl, elbo = (
            scores.get(f"{protocol}/{name}") for name in ("half_sse", "mse_per_pixel", "log_likelihood", "kl", "elbo")
        )
        assert half_sse > 0
        assert half_sse == pytest.approx(size / 2 * mse, rel=1e-5)
        if elbo is None:
            assert kl == 0
        else:
            assert elbo == pytest.approx(log_likelihood - kl, rel=1e-5, abs=1e-6 * (abs(log_likelihood) + abs(kl)))
