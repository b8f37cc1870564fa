"""The von Mises–Fisher distribution on a sphere, with the implicit gradient of its draws."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, constraints, register_kl
from torch.types import _size

# Nodes of Gauss–Legendre quadrature over the angle.
NODES = 128
# Standard deviations of the angle that the quadrature covers beyond its mean.
REACH = 9.0
# Proposals for each draw. Each is accepted with a probability of about 0.66 or more, so all fail once in 1e15 draws.
PROPOSALS = 32


class VonMisesFisher(Distribution):
    """f(z) = C(κ)·exp(κ·μᵀz) over unit vectors z of R^m, with 1/C(κ) = |S^(m−2)|·∫₀^π exp(κ·cos θ)·sin^(m−2) θ dθ.

    Draws have the angle θ to μ by Wood's rejection sampling, and a uniform direction around μ. The cosine w of the
    angle has the implicit gradient dw/dκ = −(∂F/∂κ)/p(w), which is unbiased. All integrals over the angle are
    quadratures in double precision. κ = 0 is the uniform distribution.

    Args:
        loc: mean direction μ, unit vectors [..., m], m ≥ 2.
        concentration: κ ≥ 0, [...].

    Sources: Wood, "Simulation of the von Mises Fisher distribution", 1994; Davidson, Falorsi, De Cao, Kipf and Tomczak,
    "Hyperspherical variational auto-encoders", 2018, whose gradient is that of the rejection sampler instead.
    """

    arg_constraints = {"loc": constraints.real_vector, "concentration": constraints.nonnegative}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, concentration: Tensor | float, validate_args: bool | None = None) -> None:
        kappa = torch.as_tensor(concentration, dtype=loc.dtype, device=loc.device)
        batch = torch.broadcast_shapes(loc.shape[:-1], kappa.shape)
        self.loc, self.concentration = loc.expand(*batch, loc.shape[-1]), kappa.expand(batch)
        super().__init__(batch, loc.shape[-1:], validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """A(κ)·μ, with A(κ) = E[cos θ]."""
        return self._mean_cosine.to(self.loc).unsqueeze(-1) * self.loc

    @property
    def mode(self) -> Tensor:
        """μ."""
        return self.loc

    @property
    def _mean_cosine(self) -> Tensor:
        weights, angles = _angles(self.concentration.double(), self.event_shape[0])
        return (weights.softmax(-1) * angles.cos()).sum(-1)

    @property
    def log_normaliser(self) -> Tensor:
        """ln C(κ), in double precision."""
        kappa, m = self.concentration.double(), self.event_shape[0]
        weights, _ = _angles(kappa, m)
        return -weights.logsumexp(-1) - kappa - _log_area(m - 1)

    def log_prob(self, value: Tensor) -> Tensor:
        """ln f(z) of shape [...] for unit vectors [..., m]."""
        # κ·(μᵀz − 1) + (ln C + κ): both stay small where κ is large.
        cosine = (self.loc * value).sum(-1)
        rest = (self.log_normaliser + self.concentration.double()).to(cosine)
        return self.concentration * (cosine - 1) + rest

    def entropy(self) -> Tensor:
        """−ln C(κ) − κ·A(κ)."""
        return -(self.log_normaliser + self.concentration.double() * self._mean_cosine).to(self.loc)

    def rsample(self, sample_shape: _size = ()) -> Tensor:
        shape = torch.Size(sample_shape) + self.batch_shape
        kappa, m = self.concentration.double().expand(shape), self.event_shape[0]
        less = _ImplicitAngle.apply(kappa, _one_minus_cosine(kappa.detach(), m), m).to(self.loc)
        around = torch.randn(shape + self.event_shape, dtype=self.loc.dtype, device=self.loc.device)
        tangent = around - (around * self.loc).sum(-1, keepdim=True) * self.loc
        tangent = torch.nn.functional.normalize(tangent, dim=-1)
        sine = (less * (2 - less)).clamp(min=torch.finfo(less.dtype).tiny).sqrt()
        return (1 - less).unsqueeze(-1) * self.loc + sine.unsqueeze(-1) * tangent


def _one_minus_cosine(kappa: Tensor, m: int) -> Tensor:
    """Draws of 1 − cos θ by rejection, of the shape of κ: the difference is exact where κ is large."""
    b = (m - 1) / (2 * kappa + (4 * kappa.square() + (m - 1) ** 2).sqrt())
    x0 = (1 - b) / (1 + b)
    # 1 − x0² = 4b/(1 + b)².
    least = kappa * x0 + (m - 1) * (4 * b / (1 + b).square()).log()
    shape = torch.full((*kappa.shape, PROPOSALS), (m - 1) / 2, dtype=kappa.dtype, device=kappa.device)
    first, second = torch._standard_gamma(shape), torch._standard_gamma(shape)
    share = first / (first + second)
    b, x0, least = b.unsqueeze(-1), x0.unsqueeze(-1), least.unsqueeze(-1)
    less = 2 * b * share / (1 - (1 - b) * share)
    log_ratio = kappa.unsqueeze(-1) * (1 - less) + (m - 1) * (1 - x0 * (1 - less)).log() - least
    accepted = torch.rand(less.shape, dtype=less.dtype, device=less.device).log() <= log_ratio
    return less.gather(-1, accepted.double().argmax(-1, keepdim=True)).squeeze(-1)


class _ImplicitAngle(torch.autograd.Function):
    """1 − cos θ with its implicit gradient with respect to κ.

    dw/dκ = sin θ·∫₀^θ (cos s − A)·exp(κ·(cos s − cos θ))·(sin s/sin θ)^(m−2) ds for w = cos θ.
    """

    @staticmethod
    def forward(ctx: Any, kappa: Tensor, less: Tensor, m: int) -> Tensor:
        ctx.save_for_backward(kappa, less)
        ctx.m = m
        return less.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        kappa, less = ctx.saved_tensors
        theta = 2 * (less / 2).sqrt().clamp(max=1).asin()
        log_weights, angles = _angles(kappa, ctx.m)
        mean = (log_weights.softmax(-1) * angles.cos()).sum(-1, keepdim=True)
        nodes, weights = _gauss_legendre(kappa)
        s, end = theta.unsqueeze(-1) * (nodes + 1) / 2, theta.unsqueeze(-1)
        log_ratio = kappa.unsqueeze(-1) * (s.cos() - end.cos()) + (ctx.m - 2) * (s.sin() / end.sin()).log()
        integral = (weights * (s.cos() - mean) * log_ratio.exp()).sum(-1) * theta / 2
        return -gradients[0] * theta.sin() * integral, None, None


def _angles(kappa: Tensor, m: int) -> tuple[Tensor, Tensor]:
    """Log-weights and angles [..., NODES] of ∫₀^π exp(κ·(cos θ − 1))·sin^(m−2) θ·f(θ) dθ, for κ [...].

    The quadrature ends where less than exp(−REACH²/2) of the mass is left: 1 − cos θ ≥ 2θ²/π² bounds the tail.
    """
    nodes, weights = _gauss_legendre(kappa)
    end = ((math.sqrt(m - 1) + REACH) * math.pi / 2 / kappa.detach().sqrt()).clamp(max=math.pi).unsqueeze(-1)
    angles = end * (nodes + 1) / 2
    log_weights = (weights * end / 2).log() - kappa.unsqueeze(-1) * 2 * (angles / 2).sin().square()
    return log_weights + (m - 2) * angles.sin().log(), angles


def _gauss_legendre(like: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes in (−1, 1) and weights, each [NODES]."""
    nodes, weights = _nodes()
    return (torch.as_tensor(values, dtype=like.dtype, device=like.device) for values in (nodes, weights))  # type: ignore[return-value]


@functools.cache
def _nodes() -> tuple[Any, Any]:
    return np.polynomial.legendre.leggauss(NODES)


def _log_area(m: int) -> float:
    """ln of the area of the unit sphere in R^m, 2·π^(m/2)/Γ(m/2)."""
    return math.log(2) + m / 2 * math.log(math.pi) - math.lgamma(m / 2)


@register_kl(VonMisesFisher, VonMisesFisher)
def _kl_von_mises_fisher(p: VonMisesFisher, q: VonMisesFisher) -> Tensor:
    """ln C(κ₁) − ln C(κ₂) + A(κ₁)·(κ₁ − κ₂·μ₁ᵀμ₂), of all m coordinates together."""
    cosine = (p.loc * q.loc).sum(-1).double()
    difference = p.concentration.double() - q.concentration.double() * cosine
    return (p.log_normaliser - q.log_normaliser + p._mean_cosine * difference).to(p.loc)
