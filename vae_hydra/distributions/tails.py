"""Measures of how heavy the tails of a sample are, and of how far those of two columns go together."""

from __future__ import annotations

import torch
from torch import Tensor

# Share of the values, counted from the largest, that enter a Hill statistic.
HILL_SHARE = 0.01


def hill_statistic(values: Tensor, share: float = HILL_SHARE) -> float:
    """α̂ of positive values: 1/α̂ = mean of ln(X₍ᵢ₎/X₍ₖ₊₁₎) over the k largest, a ``share`` of them; smaller is heavier.

    It measures the slope of P(X > x) in the tail on log–log axes, to compare samples. As the share goes to 0 it tends
    to the tail index α of P(X > x) ~ x^(−α). At a finite share it may be far off: the largest 1 % of |T| give 4.3 for
    Student's t with ν = 5. Tails that fall faster than any power, such as the Inverse Gaussian's, have no index, and
    the statistic grows without bound. If the largest values are all equal, it is inf.

    Source: Hill, "A simple general approach to inference about the tail of a distribution", 1975.

    >>> import torch
    >>> quantiles = (torch.arange(1, 100_001) / 100_001) ** -0.5  # of P(X > x) = x^(−2)
    >>> round(hill_statistic(quantiles), 1)
    2.0
    """
    return (1 / tail_shapes(values, torch.tensor([tail_count(len(values), share)]))["hill"]).item()


def tail_count(size: int, share: float = HILL_SHARE) -> int:
    """How many of ``size`` values are the largest ``share`` of them, two at least."""
    return max(2, int(size * share))


def tail_shapes(values: Tensor, counts: Tensor) -> dict[str, Tensor]:
    """ξ̂ = 1/α̂ of the upper tail by three estimators, each from the k largest values, for every k in ``counts``.

    ξ > 0 is the tail P(X > x) ~ x^(−1/ξ), ξ = 0 an exponential one, ξ < 0 an end point. With X₍₁₎ ≥ X₍₂₎ ≥ … and
    Mⱼ = mean of (ln X₍ᵢ₎ − ln X₍ₖ₊₁₎)ʲ over i = 1 … k,

    - ``hill``: M₁. It needs ξ > 0 and tends to 0 slowly for lighter tails.
    - ``pickands``: log₂[(X₍ₘ₎ − X₍₂ₘ₎)/(X₍₂ₘ₎ − X₍₄ₘ₎)] with m = k/4, rounded down, for any ξ. A change of location
      or scale leaves it as it is; its variance is large.
    - ``moment``: M₁ + 1 − ½/(1 − M₁²/M₂), for any ξ.

    Args:
        values: sample [n].
        counts: numbers of values k, in 1 … n − 1: [K].

    Returns:
        Estimator → [K]; not finite where there is no estimate: Hill and moment need X₍ₖ₊₁₎ > 0, Pickands k ≥ 4, and
        moment and Pickands need values that differ.

    Source: Hill, 1975; Pickands, "Statistical inference using extreme order statistics", 1975; Dekkers, Einmahl and
    de Haan, "A moment estimator for the index of an extreme-value distribution", 1989.
    """
    top = values.double().topk(int(counts.max()) + 1).values
    # Relative to the largest, so that the sums of squares keep their digits.
    logs = top.log() - top[0].log()
    least, first, second = (
        logs[counts],
        logs.cumsum(0)[counts - 1] / counts,
        logs.square().cumsum(0)[counts - 1] / counts,
    )
    m1, m2 = first - least, second - 2 * least * first + least.square()
    m = counts // 4
    near, middle, far = (top[(step * m - 1).clamp(min=0)] for step in (1, 2, 4))
    return {
        "hill": m1,
        "pickands": ((near - middle) / (middle - far)).log2(),
        "moment": m1 + 1 - 0.5 / (1 - m1.square() / m2),
    }


def tail_dependence(x: Tensor, pairs: Tensor, level: float) -> Tensor:
    """χ(u) = P(F₂(X₂) > u | F₁(X₁) > u) of pairs of columns, by ranks.

    As u → 1 it tends to the coefficient of upper tail dependence: 0 for a Gaussian copula of correlation below 1,
    1 for columns that increase together. Independent columns have χ(u) = 1 − u.

    Args:
        x: examples [N, D].
        pairs: numbers of two columns each, [P, 2].
        level: u in (0, 1).

    Returns:
        χ(u) of each pair [P]; 0 where equal values leave no example beyond the quantile.

    Source: Coles, Heffernan and Tawn, "Dependence measures for extreme value analyses", 1999.
    """
    beyond = (x > sample_quantile(x, level)).T
    first, second = beyond[pairs[:, 0]], beyond[pairs[:, 1]]
    return (first & second).sum(1).double() / first.sum(1).clamp(min=1)


def pairs_of_columns(columns: int, most: int, generator: torch.Generator) -> Tensor:
    """All pairs of different columns, or a random choice of ``most`` of them: [P, 2]."""
    pairs = torch.combinations(torch.arange(columns))
    return pairs if len(pairs) <= most else pairs[torch.randperm(len(pairs), generator=generator)[:most]]


def sample_quantile(x: Tensor, level: float) -> Tensor:
    """The value of rank ``level``·N, of a sample [N] or of each column of [N, D]: [] or [D], in double precision."""
    # torch.quantile refuses more than 16 million values and is slower.
    return x.double().kthvalue(quantile_rank(len(x), level), dim=0).values


def quantile_rank(size: int, level: float) -> int:
    """Rank of the ``level`` quantile among ``size`` values, from 1."""
    return max(1, round(level * size))


def radius(x: Tensor, centre: Tensor) -> Tensor:
    """‖x − centre‖ of each example: [N, D] → [N]."""
    return (x - centre).norm(dim=-1)
