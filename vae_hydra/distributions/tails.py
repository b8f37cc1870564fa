"""Measures of how heavy the tails of a sample are."""

from __future__ import annotations

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
    k = max(2, int(len(values) * share))
    top = values.double().topk(k + 1).values
    return (1 / (top[:k] / top[k]).log().mean()).item()


def radius(x: Tensor, centre: Tensor) -> Tensor:
    """‖x − centre‖ of each example: [N, D] → [N]."""
    return (x - centre).norm(dim=-1)
