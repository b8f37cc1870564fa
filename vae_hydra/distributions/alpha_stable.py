"""Tail probabilities and quantiles of α-stable distributions; scipy's are wrong beyond 1 − 10⁻⁴."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats
from scipy.optimize import brentq

# Panels of Gauss-Legendre nodes for each half of an integral, on a logarithmic scale from its end. Below the least
# distance an integrand adds less than 1e-16 of a probability of 1e-15.
_PANELS, _NODES, _DEPTH = 150, 20, 75.0
# ln of the smallest and largest quantile that is looked for.
_LEAST, _GREATEST = -700.0, 700.0


def survival(x: float, alpha: float, beta: float) -> float:
    """P(X > x) for x > 0 and X of the characteristic function exp(−|t|^α·(1 − iβ·tan(πα/2)·sign t)).

    1 − F = (1/π)·∫ exp(−g) dθ for α > 1, and (1/π)·∫ (1 − exp(−g)) dθ for α < 1, from −θ₀ to π/2, where
    g = x^(α/(α−1))·V(θ): no difference of close numbers, however small the probability.

    Source: Nolan, "Numerical calculation of stable densities and distribution functions", 1997, theorem 1.
    """
    if alpha in (1, 2):
        return float(_closed(alpha).sf(x))
    theta_0 = math.atan(beta * math.tan(math.pi * alpha / 2)) / alpha
    width = math.pi / 2 + theta_0
    steps, weights = _distances(width / 2)
    # The angles from π/2 and from −θ₀: the integrand may change near either.
    upper, lower = np.concatenate([steps, width - steps]), np.concatenate([width - steps, steps])
    log_g = alpha / (alpha - 1) * math.log(x) + _log_v(upper, lower, alpha, theta_0)
    g = np.exp(np.minimum(log_g, 700))
    integrand = np.exp(-g) if alpha > 1 else -np.expm1(-g)
    return float(integrand @ np.tile(weights, 2) / math.pi)


def _distances(largest: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes in (0, largest) that crowd around 0, and their weights."""
    edges = np.linspace(math.log(largest) - _DEPTH, math.log(largest), _PANELS + 1)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    half = np.diff(edges)[:, None] / 2
    steps = np.exp(edges[:-1, None] + half * (1 + nodes))
    return steps.ravel(), (steps * half * weights).ravel()


def _log_v(upper: np.ndarray, lower: np.ndarray, alpha: float, theta_0: float) -> np.ndarray:
    """ln V at θ = π/2 − upper = lower − θ₀."""
    cosine = np.cos(alpha * theta_0 + (alpha - 1) * (math.pi / 2 - upper))
    log_sine, tiny = np.log(np.sin(upper)), np.finfo(float).tiny
    log_ratio = log_sine - np.log(np.maximum(np.sin(alpha * lower), tiny))
    scale = math.log(math.cos(alpha * theta_0)) / (alpha - 1)
    return scale + alpha / (alpha - 1) * log_ratio + np.log(np.maximum(cosine, tiny)) - log_sine


def quantile(probability: float, alpha: float, beta: float) -> float:
    """The x with P(X ≤ x) = probability, in (0, 1), of the distribution of ``survival``."""
    if alpha in (1, 2):
        return float(_closed(alpha).ppf(probability))
    positive = 0.5 + math.atan(beta * math.tan(math.pi * alpha / 2)) / (alpha * math.pi)
    if math.isclose(1 - probability, positive, rel_tol=1e-12):
        return 0.0
    if 1 - probability < positive:
        return _upper(1 - probability, alpha, beta)
    return -_upper(probability, alpha, -beta)


def _upper(tail: float, alpha: float, beta: float) -> float:
    def excess(log_x: float) -> float:
        return math.log(max(survival(math.exp(log_x), alpha, beta), 1e-300)) - math.log(tail)

    return math.exp(brentq(excess, _LEAST, _GREATEST, xtol=1e-13, rtol=1e-14))


def _closed(alpha: float) -> stats.rv_continuous:
    return stats.cauchy() if alpha == 1 else stats.norm(scale=math.sqrt(2))
