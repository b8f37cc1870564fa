"""Maximum mean discrepancy of two samples, with tests by permutation: in quadratic and in linear time."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

# The quadratic test uses at most this many examples of each sample, unless it is given another number; the median
# distance is that of twice as many examples at most.
KERNEL_EXAMPLES = 2000
# The linear test uses at most this many examples of each sample, as published.
LINEAR_EXAMPLES = 100_000
# Rows and columns of the part of a kernel matrix that is in memory at a time.
TILE = 2048


def mmd_permutation_test(
    x: Tensor, y: Tensor, permutations: int, generator: torch.Generator, examples: int = KERNEL_EXAMPLES
) -> tuple[float, float]:
    """Squared maximum mean discrepancy of two samples, and its p value by permutation.

    MMD² = E k(x, x′) + E k(y, y′) − 2·E k(x, y) for a Gaussian kernel whose width is the median distance of the pooled
    examples. The estimate uses pairs of different examples, so it is unbiased, whatever N and M: for samples of one
    distribution it is around 0 and may be negative. There, examples are exchangeable between the samples, so
    p = (1 + #{permuted MMD² ≥ MMD²}) / (1 + permutations) is exact.

    Memory is bounded, because the kernel matrix is computed in tiles. Time grows with the square of the examples:
    twice 100,000 take ten minutes or so on one core with 500 permutations.

    Args:
        x, y: examples [N, D] and [M, D], two or more; the first ``examples`` of each are used.
        permutations: number of random assignments.
        generator: of the permutations and, above 4,000 examples, of those whose median distance is the width.
        examples: number of examples of each sample at most.

    Returns:
        MMD² and p in (0, 1].

    Source: Gretton et al., "A kernel two-sample test", 2012.
    """
    x, y = x[:examples].double(), y[:examples].double()
    n, m = len(x), len(y)
    pooled, in_x = torch.cat([x, y]), torch.arange(n + m) < n
    orders = (torch.randperm(n + m, generator=generator) for _ in range(permutations))
    assignments = torch.stack([in_x, *(in_x[order] for order in orders)])
    within_x, within_y, between = _kernel_sums(pooled, assignments, _width(pooled, generator))
    statistics = within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * between / (n * m)
    return statistics[0].item(), _p_value(statistics)


def linear_mmd_permutation_test(
    x: Tensor, y: Tensor, permutations: int, generator: torch.Generator
) -> tuple[float, float]:
    """Squared maximum mean discrepancy in linear time, and its p value by permutation: the test of t³VAE.

    MMD² = mean of k(x, x′) + k(y, y′) − k(x, y′) − k(x′, y) over disjoint quadruples, for a Gaussian kernel whose width
    is the median distance within random quadruples of the pooled examples. It is unbiased; its variance is larger than
    that of the quadratic estimate, whose time it saves. Each permutation divides the pooled examples at random into
    new quadruples, so that p = (1 + #{permuted MMD² ≥ MMD²}) / (1 + permutations) is exact for samples of one
    distribution.

    This follows the code published with t³VAE, which calls it a bootstrap: 999 random assignments of the pooled
    examples, drawn without replacement, for 100,000 examples of each sample. There the width is the median distance
    within the quadruples of the observed statistic, the examples keep their order within a part, and an assignment
    counts only if its statistic is larger.

    Args:
        x, y: examples [N, D] and [M, D], two or more; the first min(N, M, ``LINEAR_EXAMPLES``) of each are used.
        permutations: number of random assignments.
        generator: of the permutations, and of the quadruples whose median distance is the width.

    Returns:
        MMD² and p in (0, 1].

    Source: Gretton et al., "A kernel two-sample test", 2012, section 6; Kim et al., "t³-Variational Autoencoder:
    Learning Heavy-tailed Data with Student's t and Power Divergence", 2024, and its code (Mincheol2/t3VAE, mmd.py).
    """
    half = min(len(x), len(y), LINEAR_EXAMPLES) // 2
    pooled = torch.cat([x[: 2 * half], y[: 2 * half]]).double()
    orders = (torch.randperm(4 * half, generator=generator) for _ in range(permutations + 1))
    width = _clear_of_zero(torch.cat(_quadruples(pooled[next(orders)])).median().sqrt())
    statistics = torch.stack([_linear_mmd(pooled, width), *(_linear_mmd(pooled[order], width) for order in orders)])
    return statistics[0].item(), _p_value(statistics)


def kernel_matrix(x: Tensor, y: Tensor | None = None, width: Tensor | None = None) -> Tensor:
    """exp(−‖xᵢ − yⱼ‖²/(2·s²)) of examples [N, D] and [M, D]: [N, M].

    ``y`` is ``x`` by default, and the ``width`` s the median distance of different examples of ``x``.
    """
    scale = _median_distance(x) if width is None else width
    return torch.exp(-0.5 * (torch.cdist(x, x if y is None else y) / scale).square())


def _kernel_sums(x: Tensor, assignments: Tensor, width: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sums of the kernel over ordered pairs of different examples, by assignment.

    Args:
        x: pooled examples [N, D].
        assignments: whether an example is of the first sample, [P, N].
        width: of the kernel.

    Returns:
        Sums within the first sample, within the second, and between them (each pair once): [P] each.
    """
    within = torch.zeros(len(assignments), dtype=x.dtype)
    rows, total = torch.zeros_like(within), torch.zeros((), dtype=x.dtype)
    for first, second in _tiles(len(x)):
        kernel = kernel_matrix(x[first], x[second], width)
        in_first, in_second = (assignments[:, part].to(x.dtype) for part in (first, second))
        if first == second:
            kernel.fill_diagonal_(0)
        # A tile beside the diagonal stands for its mirror image as well.
        mirrored = 1 if first == second else 2
        within += mirrored * ((in_first @ kernel) * in_second).sum(1)
        rows += in_first @ kernel.sum(1)
        if first != second:
            rows += in_second @ kernel.sum(0)
        total += mirrored * kernel.sum()
    between = rows - within
    return within, total - within - 2 * between, between


def _tiles(size: int) -> Iterator[tuple[slice, slice]]:
    """Parts of a symmetric matrix on its diagonal and on one side of it."""
    parts = [slice(start, start + TILE) for start in range(0, size, TILE)]
    return ((first, second) for number, first in enumerate(parts) for second in parts[number:])


def _width(pooled: Tensor, generator: torch.Generator) -> Tensor:
    """The median distance of the examples, or of a random choice of them; a choice by order would tell the samples."""
    most = 2 * KERNEL_EXAMPLES
    if len(pooled) > most:
        pooled = pooled[torch.randperm(len(pooled), generator=generator)[:most]]
    return _median_distance(pooled)


def _median_distance(x: Tensor) -> Tensor:
    distances = torch.cdist(x, x)
    return _clear_of_zero(distances[~torch.eye(len(x), dtype=torch.bool, device=x.device)].median())


def _clear_of_zero(width: Tensor) -> Tensor:
    return width.clamp(min=torch.finfo(width.dtype).tiny ** 0.5)


def _quadruples(pooled: Tensor) -> tuple[Tensor, ...]:
    """Squared distances (x, x′), (y, y′), (x, y′), (x′, y) of the quadruples in examples [4·n, D]: four of [n]."""
    x, x_other, y, y_other = pooled.chunk(4)
    pairs = ((x, x_other), (y, y_other), (x, y_other), (x_other, y))
    return tuple((one - other).square().sum(1) for one, other in pairs)


def _linear_mmd(pooled: Tensor, width: Tensor) -> Tensor:
    within_x, within_y, *between = (
        torch.exp(-0.5 * squared / width.square()).mean() for squared in _quadruples(pooled)
    )
    return within_x + within_y - sum(between)


def _p_value(statistics: Tensor) -> float:
    """Share of the statistics, of which the first is the observed one, that are at least as large as it.

    NaN if that is NaN, as for examples with infinite values.
    """
    if statistics[0].isnan():
        return math.nan
    # A permutation that only swaps equal examples gives the same value up to rounding.
    as_large = (statistics[1:] >= statistics[0] - 1e-12).sum().item()
    return (1 + as_large) / len(statistics)
