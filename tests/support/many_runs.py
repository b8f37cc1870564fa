"""A thousand run folders as training leaves them, made in seconds: what a report's cost is measured on."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tests.support.composing import composed
from vae_hydra.runs.identity import run_name

SAMPLERS = ("normal", "lognormal", "student_t", "laplace", "gamma")
NOISES = ("none", "normal", "lognormal", "uniform")
BETAS = (0.1, 0.3, 1.0, 3.0, 10.0)
MEASURES = ("elbo", "half_sse", "kl", "l1_per_pixel", "log_likelihood", "loss", "mse_per_pixel", "psnr", "ssim")
PROTOCOLS = ("reconstruct/clean", *(f"denoise/{noise}" for noise in (*NOISES[1:], "inverse_gaussian")))
LOGGED = [
    *(f"train/{name}" for name in ("beta", "elbo", "kl", "learning_rate", "log_likelihood", "loss")),
    "train/seconds_per_epoch",
    *(f"val/{name}" for name in ("elbo", "half_sse", "kl", "l1_per_pixel", "log_likelihood", "loss", "mse_per_pixel")),
]
PICTURES = ("latent_plane", "loss_curves", "prior_samples", "reconstructions")


def write_runs(output: Path, seeds: int = 10, epochs: int = 60) -> int:
    """Write a hundred runs of digits for each seed and return their number: configuration, scores, epochs, figures."""
    draw = np.random.default_rng(0)
    originals = draw.random((10, 1, 8, 8), dtype=np.float32)
    configs = list(_configs(output, seeds))
    for config in configs:
        folder = output / run_name(config)
        (folder / "figures").mkdir(parents=True)
        (folder / "config.yaml").write_text(yaml.dump(config, Dumper=yaml.CSafeDumper))
        (folder / "run.json").write_text(json.dumps(_record()))
        scores = {f"{protocol}/{measure}": draw.normal(5) for protocol in PROTOCOLS for measure in MEASURES}
        (folder / "metrics.json").write_text(json.dumps(scores))
        _write_epochs(folder / "metrics.csv", draw, epochs)
        _write_examples(folder / "figures" / "examples.npz", draw, originals, config["noise"]["name"] != "none")
        for name in PICTURES:
            (folder / "figures" / f"{name}.png").write_bytes(b"")
    return len(configs)


def _configs(output: Path, seeds: int) -> Iterator[dict[str, Any]]:
    samplers = {name: composed(f"sampler={name}", f"output_dir={output}") for name in SAMPLERS}
    noises = {name: composed(f"noise={name}")["noise"] for name in NOISES}
    for sampler, noise, beta, seed in product(SAMPLERS, NOISES, BETAS, range(seeds)):
        config = samplers[sampler]
        yield {**config, "noise": noises[noise], "beta": {**config["beta"], "value": beta}, "seed": seed}


def _record() -> Mapping[str, Any]:
    versions = {"torch": "2.15.0", "vae_hydra": "0.1.0"}
    times = {"started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:01:00Z", "seconds_per_epoch": 2.5}
    return {"status": "done", "scores_version": 5, "checkpoint": "best", "versions": versions, **times}


def _write_epochs(path: Path, draw: np.random.Generator, epochs: int) -> None:
    falling = np.exp(-np.arange(epochs) / 10)[:, None] * 100 + draw.normal(20, 1, (epochs, len(LOGGED)))
    falling[:, LOGGED.index("train/beta")], falling[:, LOGGED.index("train/learning_rate")] = 1.0, 1e-3
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *LOGGED])
        writer.writerows([epoch, *row] for epoch, row in enumerate(falling.tolist()))


def _write_examples(path: Path, draw: np.random.Generator, originals: np.ndarray, are_noisy: bool) -> None:
    arrays = {"original": originals, "reconstruction": draw.random(originals.shape, dtype=np.float32)}
    if are_noisy:
        arrays |= {"noisy": originals + 1, "denoised": draw.random(originals.shape, dtype=np.float32)}
    np.savez(path, **arrays)
