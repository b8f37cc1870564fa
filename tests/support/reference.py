"""What scipy knows of the families, and quadrature that does not care how heavy a tail is."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import stats
from torch.distributions import Gamma, Laplace, LogNormal, Normal, Weibull

from vae_hydra.distributions import HyperbolicSecant, InverseGaussian, StudentT

FROZEN = {
    Gamma: lambda q: stats.gamma(q.concentration, scale=1 / q.rate),
    HyperbolicSecant: lambda q: stats.hypsecant(q.loc, q.scale),
    InverseGaussian: lambda q: stats.invgauss(q.loc / q.concentration, scale=q.concentration),
    Laplace: lambda q: stats.laplace(q.loc, q.scale),
    LogNormal: lambda q: stats.lognorm(q.scale, scale=math.exp(q.loc)),
    Normal: lambda q: stats.norm(q.loc, q.scale),
    StudentT: lambda q: stats.t(q.df, q.loc, q.scale),
    torch.distributions.StudentT: lambda q: stats.t(q.df, q.loc, q.scale),
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

    By the trapezoidal rule after x = median·e^t on the positive numbers, x = median + sinh t on all: what is
    left decays exponentially at the least, at both ends.
    """
    positive = one.support()[0] == 0
    t = (200 if positive else 40) * np.linspace(-1, 1, 400_001)
    x = one.median() * np.exp(t) if positive else one.median() + np.sinh(t)
    with np.errstate(all="ignore"):
        weight = one.pdf(x) * (x if positive else np.cosh(t))
        inside = weight > 1e-30  # further out, scipy's logarithm of a density may be that of 0
        integrand = weight[inside] * (one.logpdf(x[inside]) - other.logpdf(x[inside]))
    return integrand.sum() * (t[1] - t[0])
