"""The Kumaraswamy distribution on (0, 1)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Uniform, constraints, register_kl
from torch.distributions.utils import broadcast_all, euler_constant
from torch.types import _size

# ln 2: below −ln 2, e^x is less than a half.
HALF = 0.6931


class Kumaraswamy(Distribution):
    """F(x) = 1 − (1 − x^a)^b on (0, 1), with a and b the concentrations at 1 and 0.

    torch's class of this name evaluates densities through a chain of transforms, which round near both ends.

    Args:
        concentration1: a > 0.
        concentration0: b > 0.

    Source: Kumaraswamy, "A generalized probability density function for double-bounded random processes", 1980.
    """

    arg_constraints = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self, concentration1: Tensor | float, concentration0: Tensor | float, validate_args: bool | None = None
    ) -> None:
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        super().__init__(self.concentration1.shape, validate_args=validate_args)

    def expand(self, batch_shape: _size, _instance: Kumaraswamy | None = None) -> Kumaraswamy:
        return Kumaraswamy(self.concentration1.expand(batch_shape), self.concentration0.expand(batch_shape))

    @property
    def mean(self) -> Tensor:
        """E[x], of the moments E[x^r] = b·B(1 + r/a, b)."""
        return self._moment(1)

    @property
    def variance(self) -> Tensor:
        """E[x²] − E[x]²."""
        return self._moment(2) - self.mean.square()

    def _moment(self, power: int) -> Tensor:
        a, b = self.concentration1, self.concentration0
        log_beta = torch.lgamma(1 + power / a) + torch.lgamma(b) - torch.lgamma(1 + power / a + b)
        return b * log_beta.exp()

    def log_prob(self, value: Tensor) -> Tensor:
        """ln a + ln b + (a − 1)·ln x + (b − 1)·ln(1 − x^a)."""
        a, b = self.concentration1, self.concentration0
        log_value = _inside(value).log()
        return a.log() + b.log() + (a - 1) * log_value + (b - 1) * _log_one_minus_exp(a * log_value)

    def icdf(self, value: Tensor) -> Tensor:
        """(1 − (1 − p)^(1/b))^(1/a)."""
        return (_log_one_minus_exp(torch.log1p(-value) / self.concentration0) / self.concentration1).exp()

    def rsample(self, sample_shape: _size = ()) -> Tensor:
        shape = torch.Size(sample_shape) + self.batch_shape
        like = self.concentration1
        # At 0 and 1, to which draws may round, densities may have no bound.
        return _inside(self.icdf(_inside(torch.rand(shape, dtype=like.dtype, device=like.device))))

    def entropy(self) -> Tensor:
        """1 − 1/b + (1 − 1/a)·(ψ(b + 1) + γ) − ln a − ln b."""
        a, b = self.concentration1, self.concentration0
        return 1 - 1 / b + (1 - 1 / a) * (torch.digamma(b + 1) + euler_constant) - a.log() - b.log()


def _inside(value: Tensor) -> Tensor:
    """Values clamped to the numbers of their precision between 0 and 1."""
    finfo = torch.finfo(value.dtype)
    return value.clamp(finfo.tiny, 1 - finfo.eps / 2)


def _log_one_minus_exp(x: Tensor) -> Tensor:
    """ln(1 − e^x) for x < 0, without loss of digits for any x."""
    x = x.clamp(max=-torch.finfo(x.dtype).tiny)
    # Clamped where unused: torch.where multiplies that branch's gradient by 0, and 0·∞ is NaN.
    return torch.where(x > -HALF, (-torch.expm1(x)).log(), torch.log1p(-x.clamp(max=-HALF).exp()))


@register_kl(Kumaraswamy, Uniform)
def _kl_kumaraswamy_uniform(p: Any, q: Uniform) -> Tensor:
    """−H(p) + ln(high − low), +inf unless [low, high] holds (0, 1)."""
    inside = (q.low <= 0) & (q.high >= 1)
    return torch.where(inside, -p.entropy() + (q.high - q.low).log(), torch.inf)
