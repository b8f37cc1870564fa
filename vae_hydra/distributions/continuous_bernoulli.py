"""The continuous Bernoulli distribution on [0, 1], for logits of any size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import ContinuousBernoulli as TorchContinuousBernoulli
from torch.distributions import register_kl
from torch.types import _size

# |logit| below which power series replace the closed forms, which subtract nearly equal terms there.
_NEAR = 0.5
_NEAR_QUANTILE = 0.01
# B₂ₙ/(2n)!, n = 1, 2, …: ½·coth(a/2) − 1/a = Σ bₙ·a²ⁿ⁻¹. Four terms have the digits of float32, eight those of float64.
_SERIES = (
    1 / 12,
    -1 / 720,
    1 / 30240,
    -1 / 1209600,
    1 / 47900160,
    -691 / 1307674368000,
    1 / 74724249600,
    -3617 / 10670622842880000,
)


class ContinuousBernoulli(TorchContinuousBernoulli):
    """ContinuousBernoulli(probs or logits): p(x) = e^(a·x)·a/(e^a − 1) on [0, 1], with a the logit.

    torch's own class clamps probabilities at 1 − ε before it normalises. In float32 its density at a = 30 has the
    mass 0.53, and beyond a = 16 it has no gradient. This class clamps nothing. It computes everything from |a| and
    the distance d to the mode, 1 − x for a > 0 and x otherwise: p = |a|·e^(−|a|·d)/(1 − e^(−|a|)).

    Source: Loaiza-Ganem and Cunningham, "The continuous Bernoulli: fixing a pervasive error in variational
    autoencoders", 2019.

    >>> p = ContinuousBernoulli(logits=torch.tensor([-1000.0, 0.0]))
    >>> p.rsample((5,)).shape
    torch.Size([5, 2])
    >>> p.mean  # 1/|a| from the mode at 0; the middle for a = 0
    tensor([0.0010, 0.5000])
    """

    def log_prob(self, value: Tensor) -> Tensor:
        """a·(x − ½) − ln(sinh(a/2)/(a/2))."""
        if self._validate_args:
            self._validate_sample(value)
        near, far, is_near = self._split()
        series = near * (value - 0.5) - _integrated_series(near)
        return torch.where(is_near, series, -far.abs() * _from_mode(far, value) - _log_mass(far.abs()))

    @property
    def mean(self) -> Tensor:
        """1/(1 − e^(−a)) − 1/a."""
        near, far, is_near = self._split()
        distance = _mean_distance(far.abs())
        return torch.where(is_near, 0.5 + near * _polynomial(near.square(), _terms(near)), _from_mode(far, distance))

    @property
    def variance(self) -> Tensor:
        """1/a² − 1/(2·sinh(a/2))²."""
        near, far, is_near = self._split()
        size = far.abs()
        derivative = [(2 * n + 1) * term for n, term in enumerate(_terms(near))]
        return torch.where(
            is_near,
            _polynomial(near.square(), derivative),
            size.reciprocal().square() - torch.exp(-size) / torch.expm1(-size).square(),
        )

    @property
    def stddev(self) -> Tensor:
        """√variance."""
        return self.variance.sqrt()

    def entropy(self) -> Tensor:
        """−E[ln p(x)] nats, of batch_shape."""
        near, far, is_near = self._split()
        size = far.abs()
        series = _integrated_series(near) - near.square() * _polynomial(near.square(), _terms(near))
        return torch.where(is_near, series, size * _mean_distance(size) + _log_mass(size))

    def cdf(self, value: Tensor) -> Tensor:
        """(e^(a·x) − 1)/(e^a − 1); 0 below and 1 above [0, 1]."""
        if self._validate_args:
            self._validate_sample(value)
        x = value.clamp(0, 1)
        near, far, is_near = self._split()
        # (e^u − 1)/u = e^(u/2)·sinh(u/2)/(u/2), at u = a·x over u = a.
        exponent = near * (x - 1) / 2 + _integrated_series(near * x) - _integrated_series(near)
        size = far.abs()
        below = torch.expm1(-size * x) / torch.expm1(-size)
        return torch.where(is_near, x * exponent.exp(), torch.where(far > 0, torch.exp(-size * (1 - x)), 1) * below)

    def icdf(self, value: Tensor) -> Tensor:
        """ln(1 + p·(e^a − 1))/a for p in [0, 1]."""
        is_near = self.logits.abs() < _NEAR_QUANTILE
        near, far = torch.where(is_near, self.logits, 0), torch.where(is_near, 1, self.logits)
        size = far.abs()
        inner, outer = torch.where(far > 0, 1 - value, value), torch.where(far > 0, value, 1 - value)
        mass = -inner * torch.expm1(-size)
        # ln(1 − mass), without subtracting nearly equal numbers where the mass is near 0 or 1.
        log_beyond = torch.where(mass < 0.5, torch.log1p(-mass), torch.logaddexp(outer.log(), inner.log() - size))
        distance = (-log_beyond / size).clamp(0, 1)
        return torch.where(is_near, _near_quantile(near, value), _from_mode(far, distance))

    def rsample(self, sample_shape: _size = ()) -> Tensor:
        """F⁻¹(u), u ~ Uniform(0, 1), of sample_shape + batch_shape."""
        shape = self._extended_shape(torch.Size(sample_shape))
        return self.icdf(torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device))

    def sample(self, sample_shape: _size = ()) -> Tensor:
        """``rsample`` without a gradient."""
        with torch.no_grad():
            return self.rsample(sample_shape)

    def _cont_bern_log_norm(self) -> Tensor:
        # torch's name for the normaliser of p^x·(1 − p)^(1−x).
        return self.log_prob(torch.zeros_like(self.logits)) + torch.nn.functional.softplus(self.logits)

    def _split(self) -> tuple[Tensor, Tensor, Tensor]:
        """Logits near 0 (else 0), logits far from 0 (else 1), and which are near: neither branch divides by 0."""
        is_near = self.logits.abs() < _NEAR
        return torch.where(is_near, self.logits, 0), torch.where(is_near, 1, self.logits), is_near


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _kl(p: ContinuousBernoulli, q: ContinuousBernoulli) -> Tensor:
    # log q is linear in x.
    return -p.entropy() - q.log_prob(p.mean)


def _from_mode(logits: Tensor, value: Tensor) -> Tensor:
    """The distance of x from the mode's end of [0, 1]; its own inverse."""
    return torch.where(logits > 0, 1 - value, value)


def _log_mass(size: Tensor) -> Tensor:
    """ln((1 − e^(−|a|))/|a|)."""
    return torch.log1p(-torch.exp(-size)) - size.log()


def _mean_distance(size: Tensor) -> Tensor:
    """E[d] = 1/|a| − 1/(e^|a| − 1)."""
    return size.reciprocal() + torch.exp(-size) / torch.expm1(-size)


def _terms(like: Tensor) -> tuple[float, ...]:
    return _SERIES if like.dtype == torch.float64 else _SERIES[:4]


def _integrated_series(logits: Tensor) -> Tensor:
    """ln(sinh(a/2)/(a/2)) near 0: a²/24 − a⁴/2880 + …"""
    square = logits.square()
    return square * _polynomial(square, [term / (2 * n + 2) for n, term in enumerate(_terms(logits))])


def _near_quantile(logits: Tensor, p: Tensor) -> Tensor:
    """Σ κₙ·aⁿ⁻¹/n!, with κₙ the cumulants of a Bernoulli variable of probability p."""
    variance, skew = p * (1 - p), 1 - 2 * p
    cumulants = (p, variance, variance * skew, variance * (1 - 6 * variance), variance * skew * (1 - 12 * variance))
    return _polynomial(logits, [cumulant / math.factorial(n + 1) for n, cumulant in enumerate(cumulants)])


def _polynomial(x: Tensor, coefficients: Sequence[float | Tensor]) -> Tensor:
    """Σ cₙ·xⁿ, by Horner's rule."""
    total = torch.zeros_like(x) + coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total
