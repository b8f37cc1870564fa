"""How heavy the tails of a sample are."""

from __future__ import annotations

from torch import Tensor

# Share of the values, the largest, that a Hill statistic is taken over.
HILL_SHARE = 0.01


def hill_statistic(values: Tensor, share: float = HILL_SHARE) -> float:
    """α̂ of positive values: 1/α̂ = mean of ln(X₍ᵢ₎/X₍ₖ₊₁₎) over the k largest, a ``share`` of them; smaller is heavier.

    It says how steep P(X > x) is out there, on log–log axes, and is for comparing samples. The tail index α of
    P(X > x) ~ x^(−α) is its limit as the share goes to 0, where there is one, and may be far off: the largest 1 % of
    |T|, T of Student's t with ν = 5, have 4.3. Tails that fall faster than any power, those of the Inverse Gaussian
    among them, have no index: the statistic grows without end. Largest values that are all equal have inf.

    Source: Hill, "A simple general approach to inference about the tail of a distribution", 1975.
    """
    k = max(2, int(len(values) * share))
    top = values.double().topk(k + 1).values
    return (1 / (top[:k] / top[k]).log().mean()).item()


def radius(x: Tensor, centre: Tensor) -> Tensor:
    """‖x − centre‖ of examples [N, D]: [N]."""
    return (x - centre).norm(dim=-1)
