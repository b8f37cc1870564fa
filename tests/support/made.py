"""Run folders made by hand: what a report reads, without training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from vae_hydra.runs.identity import run_name

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def config(output: Path, dataset="digits", noise="none", sampler="normal", seed=0, **options: Any) -> dict[str, Any]:
    """A configuration with the groups that a report looks at; ``options`` by path with __ for a dot."""
    made: dict[str, Any] = {
        "seed": seed,
        "output_dir": str(output),
        "objective": {"kl_reduction": "sum"},
        "model": {"name": "mlp", "latent_dim": 10, "encoder": {"widths": [256, 256]}, "decoder": {"widths": [256]}},
        "sampler": {"name": sampler, "_target_": f"vae_hydra.model.samplers.{sampler}"},
        "dataset": {"name": dataset, "batch_size": 64, "fold": None, "seed": 0},
        "noise": {"name": noise, "distribution": None if noise == "none" else {"scale": 1.0}},
        "beta": {"name": "constant", "value": 1.0},
        "optimizer": {"name": "adam", "lr": 1e-3},
        "trainer": {"max_epochs": 2},
    }
    for path, value in options.items():
        *parents, leaf = path.split("__")
        node = made
        for parent in parents:
            node = node[parent]
        node[leaf] = value
    return made


def run(
    output: Path, metrics: Mapping[str, float] | float | None = 1.0, status="done", error: str | None = None, **options
) -> Path:
    """A run's folder; ``metrics`` as a number is its half-SSE on clean test input."""
    made = config(output, **options)
    folder = output / run_name(made)
    folder.mkdir(parents=True)
    record = {"status": status, "started": "2026-01-01T00:00:00Z", "versions": {"torch": "2.0"}, "git_commit": COMMIT}
    record |= {"error": error} if error else {}
    if status == "done":
        record |= {"finished": "2026-01-01T00:01:00Z", "checkpoint": "best", "seconds_per_epoch": 2.5}
        scores = metrics if isinstance(metrics, Mapping) else {"reconstruct/clean/half_sse": metrics}
        (folder / "metrics.json").write_text(json.dumps(scores))
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "config.yaml").write_text(yaml.safe_dump(made))
    (folder / "metrics.csv").write_text("epoch,train/loss\n0,3.5\n1,2.5\n")
    return folder


def plan(
    output: Path,
    cells,
    command="python -m vae_hydra.train -m sampler=normal,lognormal",
    name="sweep",
    started="2026-01-01T00:00:00Z",
) -> None:
    """A sweep's plan; ``cells`` as (run's name, overrides, error) and, in newer plans, identifying options."""
    folder = output / "sweeps" / name
    folder.mkdir(parents=True)
    entries = [dict(zip(("run", "overrides", "error", "options"), cell, strict=False)) for cell in cells]
    content = {"sweep": name, "started": started, "command": command, "cells": entries}
    (folder / "plan.json").write_text(json.dumps(content))


def evaluation(folder, name, scores, **request):
    (folder / "evaluations").mkdir(exist_ok=True)
    content = {"checkpoint": "best", "split": "test", "noise": None, "nll": {"samples": 0}, **request, "scores": scores}
    (folder / "evaluations" / f"{name}.json").write_text(json.dumps(content))
