"""Measures of the tails of generated vectors against those of real ones and, where it is known, the truth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from scipy.stats import ks_2samp
from torch import Tensor

from vae_hydra.analysis.kernel_tests import KERNEL_EXAMPLES, linear_mmd_permutation_test, mmd_permutation_test
from vae_hydra.distributions.tails import (
    hill_statistic,
    pairs_of_columns,
    quantile_rank,
    radius,
    sample_quantile,
    tail_count,
    tail_dependence,
    tail_shapes,
)

# Tests of the tails need this many examples in each.
LEAST_IN_TAIL = 20
QUANTILES = {"q99": 0.99, "q999": 0.999, "q9999": 0.9999}
DEPENDENCE = {"chi95": 0.95, "chi99": 0.99}
# Pairs of columns at most.
PAIRS = 100
# Resamples of a bootstrap, and the share of them within its interval.
RESAMPLES, CONFIDENCE = 1000, 0.95


class TrueMargins(Protocol):
    """What generated data know of the distributions of their columns."""

    @property
    def tail_index(self) -> Sequence[float]:
        """α of each column's upper tail; inf where it is lighter than any power."""

    def quantile(self, probability: float, column: int) -> float:
        """A quantile of a column."""


@dataclass(frozen=True)
class Tail:
    """Where the tail begins: at a distance ``start`` from ``centre`` [D]."""

    centre: Tensor
    start: float

    @classmethod
    def of(cls, real: Tensor, level: float, threshold: float | None) -> Tail:
        """Beyond ``threshold`` from 0, or else beyond the ``level`` quantile of the distance from the median."""
        if threshold is not None:
            return cls(torch.zeros_like(real[0]), threshold)
        centre = real.median(0).values
        return cls(centre, sample_quantile(radius(real, centre), level).item())

    def radii(self, x: Tensor) -> Tensor:
        """Distances from the centre of the examples in the tail."""
        distances = radius(x, self.centre)
        return distances[distances > self.start]

    def share(self, x: Tensor) -> float:
        """Share of the examples in the tail."""
        return len(self.radii(x)) / len(x)

    def parts(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        """The examples in the tail and, of a single column, those on either side: name → [n, D]."""
        beyond = radius(x, self.centre) > self.start
        yield "tail", x[beyond]
        if x.shape[1] == 1:
            above = x[:, 0] > self.centre
            yield "right_tail", x[beyond & above]
            yield "left_tail", x[beyond & ~above]


def tail_measures(
    generated: Tensor,
    real: Tensor,
    permutations: int,
    generator: torch.Generator,
    level: float = 0.95,
    threshold: float | None = None,
    kernel_examples: int = KERNEL_EXAMPLES,
    truth: TrueMargins | None = None,
) -> dict[str, float]:
    """Comparison of the tails of generated and real vectors.

    The radius is the distance from the median of the real examples. The tail begins at the ``level`` quantile of the
    real radius, or at a distance of ``threshold`` from 0.

    Args:
        generated, real: examples [N, D] and [M, D].
        permutations: of the tests; 0 for the statistics alone, with p values of 1.
        generator: of the tests, the bootstrap and the choice of pairs.
        level: quantile of the real radius where the tail begins.
        threshold: distance from 0 where the tail begins instead.
        kernel_examples: examples of each tail in ``tail_mmd``, at most.
        truth: of the data, if they know it.

    Returns:
        The measures of ``_in_the_tail``, ``_of_quantiles``, ``_of_columns``, ``_of_shape`` and ``_of_dependence``.
    """
    tail = Tail.of(real, level, threshold)
    centre = real.median(0).values
    radii = radius(generated, centre), radius(real, centre)
    return {
        **_in_the_tail(tail, generated, real, permutations, generator, kernel_examples),
        **_of_quantiles(*radii, generator),
        **_of_columns(generated, real, truth),
        **_of_shape(*radii),
        **_of_dependence(generated, real, generator),
    }


def _in_the_tail(
    tail: Tail, generated: Tensor, real: Tensor, permutations: int, generator: torch.Generator, kernel_examples: int
) -> dict[str, float]:
    """Measures of the examples in the tail.

    Returns:
        ``tail_share``, ``tail_share_real``: share of the generated and of the real examples in the tail;
        ``tail_mmd`` and ``tail_p``: MMD² of the two tails and its p value;
        ``tail_ks`` and ``tail_ks_p``: the Kolmogorov–Smirnov distance, sup |F̂ − F̂_real| of the distance from the
        centre within the tail, and its p value;
        ``tail_mmd_linear`` and ``tail_linear_p``: MMD² in linear time and its p value; of a single column also of each
        side, as published for t³VAE: ``right_tail_…`` and ``left_tail_…``.
        All but the shares are absent where a tail has fewer than 20 examples.
    """
    measures = {"tail_share": tail.share(generated), "tail_share_real": tail.share(real)}
    for (name, ours), (_, theirs) in zip(tail.parts(generated), tail.parts(real), strict=True):
        if min(len(ours), len(theirs)) < LEAST_IN_TAIL:
            continue
        if name == "tail":
            tested = mmd_permutation_test(ours, theirs, permutations, generator, kernel_examples)
            measures["tail_mmd"], measures["tail_p"] = tested
            distance = ks_2samp(tail.radii(generated).numpy(), tail.radii(real).numpy())
            measures |= {"tail_ks": float(distance.statistic), "tail_ks_p": float(distance.pvalue)}
        tested = linear_mmd_permutation_test(ours, theirs, permutations, generator)
        measures[f"{name}_mmd_linear"], measures[f"{name}_linear_p"] = tested
    return measures


def _of_quantiles(generated: Tensor, real: Tensor, generator: torch.Generator) -> dict[str, float]:
    """Extreme quantiles of the radius, of generated [N] and real [M] examples.

    Returns:
        ``q99``, ``q999`` and ``q9999``: quantiles of the generated radius over those of the real one (ideal: 1);
        ``q99_low``, ``q99_high`` and so on: a 95 % interval of that ratio by the bootstrap, see ``ratio_interval``;
        ``q99_error`` and so on: the relative error, |ratio − 1|.
    """
    rng = np.random.default_rng(int(torch.randint(2**31, (), generator=generator)))
    measures: dict[str, float] = {}
    for name, level in QUANTILES.items():
        ratio = (sample_quantile(generated, level) / sample_quantile(real, level)).item()
        low, high = ratio_interval(generated, real, level, rng)
        measures |= {name: ratio, f"{name}_low": low, f"{name}_high": high, f"{name}_error": abs(ratio - 1)}
    return measures


def ratio_interval(x: Tensor, y: Tensor, level: float, rng: np.random.Generator) -> tuple[float, float]:
    """95 % percentile interval, by the bootstrap, of the ratio of quantiles of two samples [N] and [M].

    Both samples are resampled with replacement, 1,000 times. A resample is not drawn value by value: it consists of
    X₍⌈N·U⌉₎ for N uniform U, so its value of rank k is X₍⌈N·V⌉₎ where V, the uniform of rank k, is Beta(k, N + 1 − k).
    The interval cannot reach beyond the samples: with few values beyond a quantile, for instance one of 10,000 beyond
    the 99.99 % quantile, it is too short.

    Source: Efron, "Bootstrap methods: another look at the jackknife", 1979.
    """
    ratios = _resampled_quantiles(x, level, rng) / _resampled_quantiles(y, level, rng)
    outside = (1 - CONFIDENCE) / 2
    ends = torch.tensor([outside, 1 - outside], dtype=ratios.dtype)
    # Between an infinite ratio and the next there is nothing to interpolate.
    low, high = ratios.quantile(ends, interpolation="nearest").tolist()
    return low, high


def _resampled_quantiles(values: Tensor, level: float, rng: np.random.Generator) -> Tensor:
    ordered, rank = values.double().sort().values, quantile_rank(len(values), level)
    uniform = torch.from_numpy(rng.beta(rank, len(values) + 1 - rank, RESAMPLES))
    return ordered[(uniform * len(values)).ceil().long().clamp(min=1) - 1]


def _of_columns(generated: Tensor, real: Tensor, truth: TrueMargins | None) -> dict[str, float]:
    """Errors of the columns' upper tails, means over columns, of examples [N, D] against real ones [M, D] or the truth.

    Returns:
        ``columns_q99_error`` and so on: |Q̂ − Q| / (Q − median), with Q a quantile and the median of the real column,
        so that neither the location nor the scale of a column matters;
        ``columns_q99_error_true`` and so on: the same, with the true quantile and median;
        ``xi_hill_error_true``, ``xi_pickands_error_true``, ``xi_moment_error_true``: |ξ̂ − 1/α| of the largest 1 % of a
        column, see ``tail_shapes``; inf if a column has no estimate.
        Those ending in ``_true`` are absent where the truth is unknown.
    """
    measures = {}
    for name, level in QUANTILES.items():
        quantiles = sample_quantile(generated, level)
        errors = _centred_error(quantiles, sample_quantile(real, level), sample_quantile(real, 0.5))
        measures[f"columns_{name}_error"] = errors
        if truth is not None:
            known, middle = (_true_quantiles(truth, at, real.shape[1]) for at in (level, 0.5))
            measures[f"columns_{name}_error_true"] = _centred_error(quantiles, known, middle)
    return measures if truth is None else measures | _true_shape_errors(generated, truth)


def _centred_error(quantiles: Tensor, known: Tensor, middle: Tensor) -> float:
    """Mean of |Q̂ − Q| / (Q − median) over columns [D]; a constant column has an error of 0 or inf."""
    gaps = (quantiles - known).abs()
    return torch.where(gaps == 0, 0.0, gaps / (known - middle)).mean().item()


def _true_quantiles(truth: TrueMargins, level: float, columns: int) -> Tensor:
    return torch.tensor([truth.quantile(level, column) for column in range(columns)], dtype=torch.float64)


def _true_shape_errors(generated: Tensor, truth: TrueMargins) -> dict[str, float]:
    errors: dict[str, list[float]] = {}
    for column, index in zip(generated.T, truth.tail_index, strict=True):
        for name, shape in _shapes(column).items():
            errors.setdefault(name, []).append(abs(shape - 1 / index) if math.isfinite(shape) else math.inf)
    return {f"{name}_error_true": sum(values) / len(values) for name, values in errors.items()}


def _of_shape(generated: Tensor, real: Tensor) -> dict[str, float]:
    """Shape of the upper tail of the radius, of generated [N] and real [M] examples.

    Returns:
        ``hill`` and ``hill_real``: Hill statistics of the largest 1 %;
        ``xi_hill``, ``xi_pickands``, ``xi_moment``, each also with ``_real``: estimates of ξ = 1/α from the largest
        1 %, see ``tail_shapes``; absent where there is none.
    """
    shapes = {**_shapes(generated), **{f"{name}_real": shape for name, shape in _shapes(real).items()}}
    found = {name: shape for name, shape in shapes.items() if math.isfinite(shape)}
    return {"hill": hill_statistic(generated), "hill_real": hill_statistic(real), **found}


def _shapes(values: Tensor) -> dict[str, float]:
    counts = torch.tensor([tail_count(len(values))])
    return {f"xi_{name}": shape.item() for name, shape in tail_shapes(values, counts).items()}


def _of_dependence(generated: Tensor, real: Tensor, generator: torch.Generator) -> dict[str, float]:
    """Dependence of columns in the upper tail, means over all pairs of columns or over 100 random ones.

    Returns:
        ``chi95`` and ``chi99``, each also with ``_real``: χ(0.95) and χ(0.99), see ``tail_dependence``;
        ``chi95_error`` and ``chi99_error``: |difference|. All are absent for a single column.
    """
    if real.shape[1] == 1:
        return {}
    pairs = pairs_of_columns(real.shape[1], PAIRS, generator)
    measures: dict[str, float] = {}
    for name, level in DEPENDENCE.items():
        ours, theirs = (tail_dependence(x, pairs, level) for x in (generated, real))
        measures |= {name: ours.mean().item(), f"{name}_real": theirs.mean().item()}
        measures[f"{name}_error"] = (ours - theirs).abs().mean().item()
    return measures
