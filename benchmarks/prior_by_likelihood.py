"""Does the prior make the tail, or the likelihood? The runs of sweep=tails/prior_by_likelihood as tables and a figure.

    python -m vae_hydra.train sweep=tails/prior_by_likelihood hydra/launcher=joblib threads=1 output_dir=outputs/tails
    python benchmarks/prior_by_likelihood.py outputs/tails prior_by_likelihood.png

Every finished run generates 20,000 rows. Two errors against the true Pareto distribution, each a mean over the columns:
|ξ̂ − 1/α| with Hill's estimate of the largest 1 %, and |Q̂ − Q|/(Q − median) of the 99.9 % quantile. The floor is that
of 20,000 true rows. Medians over seeds are drawn. Tests compare two families by their mean logarithm over the other
factor, paired by seed, with Holm's correction over the twelve pairs of a row (tail index, dimensions).
"""

from __future__ import annotations

import itertools
import math
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import yaml
from torch import Tensor
from torch.distributions import Pareto
from tqdm import tqdm

import vae_hydra
from vae_hydra.distributions.tails import sample_quantile, tail_count, tail_shapes
from vae_hydra.drawing.plots.maps import heat_maps
from vae_hydra.studies.reporting.comparisons import holm
from vae_hydra.studies.reporting.paired_test import p_value

PRIORS = ("normal", "lognormal", "inverse_gaussian", "student_t")
LIKELIHOODS = ("gaussian", "lognormal", "student_t", "generalised_pareto")
ERRORS = {"index": "error of Hill's estimate of 1/α", "q999": "relative error of the 99.9 % quantile"}
GENERATED, LEVEL = 20_000, 0.999

Row = tuple[float, ...]


class Cell(NamedTuple):
    """One model and the row of its table: tail index and number of columns, or the number of columns alone."""

    row: Row
    prior: str
    likelihood: str
    seed: int


Found = dict[str, dict[Cell, float]]


def read(folder: Path) -> Found:
    """Name of an error → cell → value, of all finished runs in a folder."""
    found: Found = {name: {} for name in [*ERRORS, *(f"{name}_floor" for name in ERRORS)]}
    for file in tqdm(sorted(folder.glob("pareto-*/metrics.json"))):
        config = yaml.safe_load((file.parent / "config.yaml").read_text(encoding="utf-8"))
        data, seed = config["dataset"], int(config["seed"])
        tail_index, dimensions = float(data["tail_index"]), int(data["dimensions"])
        cell = Cell((tail_index, dimensions), config["sampler"]["name"], config["likelihood"]["name"], seed)
        torch.manual_seed(seed)
        real = Pareto(1.0, tail_index).sample((GENERATED, dimensions))
        for ending, x in (("", generated(file.parent)), ("_floor", real)):
            for name, value in errors(x, tail_index).items():
                found[f"{name}{ending}"][cell] = value
    return found


@torch.no_grad()
def generated(run: Path) -> Tensor:
    """Rows drawn from p(x|z) for z from the prior, [GENERATED, D]."""
    vae = vae_hydra.load(run)
    return vae.decode(vae.prior_sample(GENERATED)).sample()


def errors(x: Tensor, tail_index: float) -> dict[str, float]:
    """Both errors of rows [N, D] of Pareto columns, means over the columns."""
    true, middle = ((1 - level) ** (-1 / tail_index) for level in (LEVEL, 0.5))
    off = (sample_quantile(x, LEVEL) - true).abs() / (true - middle)
    return {"index": (column_shapes(x) - 1 / tail_index).abs().mean().item(), "q999": off.mean().item()}


def column_shapes(x: Tensor) -> Tensor:
    """Hill's estimate of ξ = 1/α from the largest 1 % of each column of x [N, D]; [D]."""
    k = torch.tensor([tail_count(len(x))])
    return torch.stack([tail_shapes(column, k)["hill"][0] for column in x.T])


def rows(found: dict[Cell, float]) -> list[Row]:
    """The rows of the table that the cells belong to."""
    return sorted({cell.row for cell in found})


def medians(found: dict[Cell, float], row: Row) -> np.ndarray:
    """Median over seeds, [likelihoods, priors]; NaN for a cell without runs."""
    table = np.full((len(LIKELIHOODS), len(PRIORS)), math.nan)
    for (i, likelihood), (j, prior) in itertools.product(enumerate(LIKELIHOODS), enumerate(PRIORS)):
        values = [v for c, v in found.items() if (row, prior, likelihood) == c[:3]]
        table[i, j] = np.median(values) if values else math.nan
    return table


def main_effects(found: dict[Cell, float], row: Row) -> Iterator[tuple[str, str, float, float]]:
    """Pairs of priors and of likelihoods, the ratio of their geometric mean errors, and p by Holm's method."""
    by_level: defaultdict[tuple[str, str], defaultdict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for cell, value in found.items():
        if cell.row == row:
            by_level["prior", cell.prior][cell.seed].append(math.log(value))
            by_level["likelihood", cell.likelihood][cell.seed].append(math.log(value))
    levels = {key: {(s, None): float(np.mean(v)) for s, v in seeds.items()} for key, seeds in by_level.items()}
    pairs = [(a, b) for a, b in itertools.combinations(levels, 2) if a[0] == b[0]]
    raw = [p_value(levels[a], levels[b]) for a, b in pairs]
    for (a, b), p in zip(pairs, holm(raw), strict=True):
        mean = {key: float(np.mean(list(levels[key].values()))) for key in (a, b)}
        yield f"{a[0]} {a[1]}", b[1], math.exp(mean[a] - mean[b]), p


def table(found: Found, error: str) -> str:
    """Geometric mean over priors, likelihoods and seeds: a Markdown table of rows × families, with the floor."""
    names = [*LIKELIHOODS, *PRIORS]
    lines = ["| α | columns | floor | " + " | ".join(names) + " |", "|---" * (len(names) + 3) + "|"]
    for row in rows(found[error]):
        of_row = {c: v for c, v in found[error].items() if c.row == row}
        floor = np.median([v for c, v in found[f"{error}_floor"].items() if c.row == row])
        means = [geometric_mean([v for c, v in of_row.items() if name == c.likelihood]) for name in LIKELIHOODS]
        means += [geometric_mean([v for c, v in of_row.items() if name == c.prior]) for name in PRIORS]
        lines.append(f"| {row[0]:g} | {row[1]} | {floor:.3f} | " + " | ".join(f"{m:.3f}" for m in means) + " |")
    return "\n".join(lines)


def named(row: Row) -> str:
    """Tail index and dimensions in words."""
    return f"α = {row[0]:g}, {row[1]} column" + "s" * (row[1] > 1)


def geometric_mean(values: list[float]) -> float:
    """exp of the mean logarithm; NaN for no values."""
    return math.exp(float(np.mean(np.log(values)))) if values else math.nan


def main(folder: str, picture: str) -> None:
    """Print the tables and the tests, and draw the medians of the quantile's error."""
    found = read(Path(folder))
    for error, metric in ERRORS.items():
        print(f"\n{metric}, {len(found[error])} runs\n\n{table(found, error)}\n")
        for row in rows(found[error]):
            for one, other, ratio, p in main_effects(found[error], row):
                print(f"{named(row)}: {one} against {other}: {ratio:.2f} ×, p = {p:.2g}")
    maps = {named(row): medians(found["q999"], row) for row in rows(found["q999"])}
    heat_maps(maps, LIKELIHOODS, PRIORS, ERRORS["q999"], ("likelihood", "prior and posterior")).savefig(picture)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
