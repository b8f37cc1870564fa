"""What scipy knows of the families, and quadrature that does not care how heavy a tail is."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import special, stats
from torch.distributions import Beta, Gamma, Laplace, LogNormal, Normal, Uniform, Weibull

from vae_hydra.distributions import HyperbolicSecant, InverseGaussian, Kumaraswamy, StudentT


class _Kumaraswamy(stats.rv_continuous):
    """F(x) = 1 − (1 − x^a)^b on (0, 1), which scipy lacks."""

    def _pdf(self, x, a, b):
        return a * b * x ** (a - 1) * (1 - x**a) ** (b - 1)

    def _cdf(self, x, a, b):
        return 1 - (1 - x**a) ** b


FROZEN = {
    Beta: lambda q: stats.beta(q.concentration1, q.concentration0),
    Gamma: lambda q: stats.gamma(q.concentration, scale=1 / q.rate),
    HyperbolicSecant: lambda q: stats.hypsecant(q.loc, q.scale),
    InverseGaussian: lambda q: stats.invgauss(q.loc / q.concentration, scale=q.concentration),
    Kumaraswamy: lambda q: _Kumaraswamy(a=0, b=1)(q.concentration1, q.concentration0),
    Laplace: lambda q: stats.laplace(q.loc, q.scale),
    LogNormal: lambda q: stats.lognorm(q.scale, scale=math.exp(q.loc)),
    Normal: lambda q: stats.norm(q.loc, q.scale),
    StudentT: lambda q: stats.t(q.df, q.loc, q.scale),
    torch.distributions.StudentT: lambda q: stats.t(q.df, q.loc, q.scale),
    Uniform: lambda q: stats.uniform(q.low, q.high - q.low),
    Weibull: lambda q: stats.weibull_min(q.concentration, scale=q.scale),
}


class _Floats:
    """The parameters of a distribution of one number, as floats."""

    def __init__(self, distribution):
        for name in distribution.arg_constraints:
            setattr(self, name, getattr(distribution, name).item())


def frozen(q):
    """The scipy distribution of a torch one of a single number."""
    return next(make for family, make in FROZEN.items() if isinstance(q, family))(_Floats(q))


def kl_by_quadrature(one, other):
    """KL(one‖other) of scipy distributions.

    By the trapezoidal rule after x = median·e^t on the positive numbers, x = median + sinh t on all, x = 1/(1 + e^(−t))
    on (0, 1): what is left decays exponentially at the least, at both ends.
    """
    if one.support() == (0, 1):
        t = np.linspace(-36, 36, 400_001)
        x = special.expit(t)
        weight = one.pdf(x) * x * special.expit(-t)
        return (weight * (one.logpdf(x) - other.logpdf(x))).sum() * (t[1] - t[0])
    positive = one.support()[0] == 0
    t = (200 if positive else 40) * np.linspace(-1, 1, 400_001)
    x = one.median() * np.exp(t) if positive else one.median() + np.sinh(t)
    with np.errstate(all="ignore"):
        weight = one.pdf(x) * (x if positive else np.cosh(t))
        inside = weight > 1e-30  # further out, scipy's logarithm of a density may be that of 0
        integrand = weight[inside] * (one.logpdf(x[inside]) - other.logpdf(x[inside]))
    return integrand.sum() * (t[1] - t[0])
