"""How well do models of one dataset make its tails? Tables and tests of the finished runs of a folder.

    python -m vae_hydra.train sweep=tails/table dataset.path=returns.csv dataset.name=returns dataset.missing=drop \
        threads=1 output_dir=outputs/returns
    python benchmarks/tails_of_models.py outputs/returns

Every run generates 20,000 rows, which are compared with all rows of the dataset. Three errors, each a mean over the
columns or their pairs: |ξ̂ − ξ̂_real| of Hill's estimates from the largest 1 % of |x − median|; the relative error of the
99 % quantile of |x − median|; |χ̂ − χ̂_real| of the upper tail dependence at 95 %. The floor is that of as many rows
drawn from the real ones with replacement. Tests are paired by seed, of logarithms, with Holm's correction: of every two
families by their mean over the other factor where every prior has every likelihood, else of every two models.
"""

from __future__ import annotations

import itertools
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from prior_by_likelihood import GENERATED, Cell, Found, column_shapes, generated, geometric_mean, main_effects
from torch import Tensor
from tqdm import tqdm

from vae_hydra.distributions.tails import sample_quantile, tail_dependence
from vae_hydra.runs.build import build_data
from vae_hydra.studies.reporting.comparisons import holm
from vae_hydra.studies.reporting.paired_test import p_value

ERRORS = {
    "index": "error of Hill's estimate of 1/α",
    "q99": "relative error of the 99 % quantile",
    "chi95": "error of the tail dependence χ(0.95)",
}
ONE_DATASET = (0.0,)


def read(folder: Path) -> tuple[Found, dict[str, float]]:
    """Name of an error → cell → value of all finished runs in a folder, and the floors."""
    found: Found = {name: {} for name in ERRORS}
    real = None
    for file in tqdm(sorted(folder.glob("*/metrics.json"))):
        config = yaml.safe_load((file.parent / "config.yaml").read_text(encoding="utf-8"))
        real = rows_of(config) if real is None else real
        torch.manual_seed(int(config["seed"]))
        cell = Cell(ONE_DATASET, prior_of(config), config["likelihood"]["name"], int(config["seed"]))
        for name, value in errors(generated(file.parent), real).items():
            found[name][cell] = value
    if real is None:
        sys.exit(f"{folder} has no finished runs")
    torch.manual_seed(0)
    return found, errors(real[torch.randint(len(real), (GENERATED,))], real)


def rows_of(config: dict[str, Any]) -> Tensor:
    """All rows of a run's dataset, as the model sees them, [N, D]."""
    data = build_data(config)
    return torch.cat([data.prepared(split).x for split in ("train", "validation", "test")])


def prior_of(config: dict[str, Any]) -> str:
    """Name of the sampler, and of its prior unless that is its own."""
    prior = config.get("prior") or {}
    return config["sampler"]["name"] + (f" ({prior['name']} prior)" if "_target_" in prior else "")


def errors(x: Tensor, real: Tensor) -> dict[str, float]:
    """The errors of generated rows [N, D] against real ones."""
    middle = sample_quantile(real, 0.5)
    away, really = (x - middle).abs(), (real - middle).abs()
    known = sample_quantile(really, 0.99)
    pairs = torch.tensor(list(itertools.combinations(range(real.shape[1]), 2)))
    chi = tail_dependence(x, pairs, 0.95) - tail_dependence(real, pairs, 0.95)
    return {
        "index": (column_shapes(away) - column_shapes(really)).abs().mean().item(),
        "q99": ((sample_quantile(away, 0.99) - known).abs() / known).mean().item(),
        "chi95": chi.abs().mean().item(),
    }


def table(found: Found, floor: dict[str, float]) -> str:
    """Geometric means over seeds, a Markdown table of models × errors."""
    models = sorted({(cell.likelihood, cell.prior) for cell in found["index"]})
    lines = ["| likelihood | prior and posterior | " + " | ".join(ERRORS.values()) + " |", "|---" * 5 + "|"]
    for model in models:
        of_model = [[v for c, v in found[name].items() if (c.likelihood, c.prior) == model] for name in ERRORS]
        lines.append(f"| {' | '.join(model)} | " + " | ".join(f"{geometric_mean(v):.3f}" for v in of_model) + " |")
    return "\n".join([*lines, "| floor | | " + " | ".join(f"{floor[name]:.3f}" for name in ERRORS) + " |"])


def every_two_models(found: dict[Cell, float]) -> list[tuple[str, str, float, float]]:
    """Pairs of models, the ratio of their geometric mean errors, and p by Holm's method."""
    models: dict[str, dict[tuple[int, None], float]] = {}
    for cell, value in found.items():
        models.setdefault(f"{cell.likelihood}, {cell.prior}", {})[cell.seed, None] = math.log(value)
    pairs = list(itertools.combinations(models, 2))
    p = holm([p_value(models[a], models[b]) for a, b in pairs])
    means = {name: float(np.mean(list(values.values()))) for name, values in models.items()}
    return [(a, b, math.exp(means[a] - means[b]), q) for (a, b), q in zip(pairs, p, strict=True)]


def is_factorial(found: dict[Cell, float]) -> bool:
    """Whether every prior has every likelihood, and there are several of both."""
    priors, likelihoods = ({cell[axis] for cell in found} for axis in (1, 2))
    models = {cell[1:3] for cell in found}
    return min(len(priors), len(likelihoods)) > 1 and len(models) == len(priors) * len(likelihoods)


def main(folder: str) -> None:
    """Print the table and the tests."""
    found, floor = read(Path(folder))
    print(f"\n{len(found['index'])} runs\n\n{table(found, floor)}")
    for name, title in ERRORS.items():
        print(f"\n{title}")
        of_name = found[name]
        compared = main_effects(of_name, ONE_DATASET) if is_factorial(of_name) else every_two_models(of_name)
        for one, other, ratio, p in compared:
            print(f"{one} against {other}: {ratio:.2f} ×, p = {p:.2g}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
