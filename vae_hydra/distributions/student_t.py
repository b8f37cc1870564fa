"""Student's t-distribution, drawn without a Gamma variate."""

from __future__ import annotations

import math
from typing import Any

import torch
from scipy import special
from torch import Tensor
from torch.distributions import constraints

from vae_hydra.distributions.location_scale import LocationScale
from vae_hydra.distributions.special import by_scipy

# Half of ν above which differences of lnΓ and of its derivative come from their expansions.
_LARGE = 20.0
# Upper bound of ln(1 + R²/ν) of a draw: keeps its square within single precision.
_LARGEST_LOG = 80.0


class StudentT(LocationScale):
    r"""The heavy-tailed location-scale family of ``df`` degrees of freedom.

    .. math:: p(x) = \frac{(1 + u^2 / \nu)^{-(\nu + 1) / 2}}{s \sqrt{\nu}\, B(\nu / 2, 1 / 2)}, \quad u = (x - m) / s

    Unlike torch's, it draws without the shape gradient of a Gamma variate and never branches on the value of a
    parameter. Its normaliser and entropy keep their digits in single precision for large ν. ``cdf`` and ``icdf`` are
    scipy's; they have no gradient by ν and raise NotImplementedError if one is needed.

    Args:
        df: ν > 0, broadcast with the others to batch_shape.
        loc: median and mode m; the mean if ν > 1.
        scale: s > 0; the variance is s²·ν/(ν − 2) if ν > 2.

    Raises:
        ValueError: if ``df`` or ``scale`` is not positive (with ``validate_args``).

    Draws: Bailey, "Polar generation of random variates with the t-distribution", 1994.

    >>> q = StudentT(torch.tensor([1.5, 4.0]), loc=0.0, scale=1.0)
    >>> q.rsample((5,)).shape
    torch.Size([5, 2])
    >>> q.variance  # ν/(ν − 2), infinite for ν ≤ 2
    tensor([inf, 2.])
    """

    arg_constraints = {"df": constraints.positive, **LocationScale.arg_constraints}
    df: Tensor

    def __init__(
        self,
        df: Tensor | float,
        loc: Tensor | float = 0.0,
        scale: Tensor | float = 1.0,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(validate_args, df=df, loc=loc, scale=scale)

    @property
    def mean(self) -> Tensor:
        return torch.where(self.df > 1, self.loc, torch.nan).expand(self.batch_shape)

    def _entropy(self) -> Tensor:
        """((ν+1)/2)·[ψ((ν+1)/2) − ψ(ν/2)] + ½·ln ν + ln B(ν/2, ½)."""
        half = 0.5 * self.df
        return (half + 0.5) * _digamma_step(half) + self._log_normaliser()

    def _log_normaliser(self) -> Tensor:
        """½·ln ν + ln B(ν/2, ½)."""
        return 0.5 * (math.log(math.pi) + self.df.log()) - _log_gamma_step(0.5 * self.df)

    def _log_density(self, u: Tensor) -> Tensor:
        # Not u²/ν, whose derivative by ν overflows from ν = 1e-19 on down in single precision.
        return -0.5 * (self.df + 1) * torch.log1p((u / self.df.sqrt()).square()) - self._log_normaliser()

    def _variance(self) -> Tensor:
        finite = torch.where(self.df > 2, self.df / (self.df - 2), torch.inf)
        return torch.where(self.df > 1, finite, torch.nan)

    def _lower_tail(self, distance: Tensor) -> Tensor:
        return _LowerTail.apply(*torch.broadcast_tensors(self.df, distance))

    def _distance(self, tail: Tensor) -> Tensor:
        return _Distance.apply(*torch.broadcast_tensors(self.df, tail))

    def _draw(self, shape: torch.Size) -> Tensor:
        """R·cos θ, a coordinate of the bivariate t, with R² = ν·(W^(−2/ν) − 1), W ~ U(0, 1) and θ uniform.

        A smooth map of (W, θ): the gradient by ν needs neither rejection nor an implicit function. As ν → ∞ it
        becomes Box and Muller's.
        """
        # −ln W; away from 0, where √ has no derivative.
        exponential = torch.empty(shape, dtype=self.df.dtype, device=self.df.device).exponential_()
        exponential = exponential.clamp(min=torch.finfo(exponential.dtype).tiny)
        angle = 2 * math.pi * torch.rand_like(exponential)
        radius = torch.sqrt(self.df * torch.expm1((2 * exponential / self.df).clamp(max=_LARGEST_LOG)))
        return radius * torch.cos(angle)


class _LowerTail(torch.autograd.Function):
    """P(u ≤ −distance), differentiable only by the distance."""

    @staticmethod
    def forward(df: Tensor, distance: Tensor) -> Tensor:
        return by_scipy(special.stdtr, df, -distance)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[None, Tensor]:
        (grad,), (df, distance) = grad_outputs, ctx.saved_tensors
        _refuse_gradient_by_df(ctx, "cdf")
        return None, -grad * StudentT(df, validate_args=False).log_prob(distance).exp()


class _Distance(torch.autograd.Function):
    """The inverse of ``_LowerTail``, differentiable only by the tail."""

    @staticmethod
    def forward(df: Tensor, tail: Tensor) -> Tensor:
        return -by_scipy(special.stdtrit, df, tail)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], output)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[None, Tensor]:
        (grad,), (df, distance) = grad_outputs, ctx.saved_tensors
        _refuse_gradient_by_df(ctx, "icdf")
        return None, -grad * (-StudentT(df, validate_args=False).log_prob(distance)).exp()


def _refuse_gradient_by_df(ctx: Any, method: str) -> None:
    if ctx.needs_input_grad[0]:
        raise NotImplementedError(f"StudentT.{method} has no gradient by df; detach df, or use log_prob or rsample")


def _log_gamma_step(x: Tensor) -> Tensor:
    """lnΓ(x + ½) − lnΓ(x) for x > 0; by an expansion above ``_LARGE``, where the two are large and close.

    ½·ln x − 1/(8x) + 1/(192x³) − 1/(640x⁵) + 17/(14336x⁷) − 31/(18432x⁹), from Stirling's series (Abramowitz and
    Stegun 6.1.40).
    """
    large = x.clamp(min=_LARGE)
    square = large.square().reciprocal()
    series = -1 / 8 + square * (1 / 192 + square * (-1 / 640 + square * (17 / 14336 - square * 31 / 18432)))
    return torch.where(x > _LARGE, 0.5 * large.log() + series / large, torch.lgamma(x + 0.5) - torch.lgamma(x))


def _digamma_step(x: Tensor) -> Tensor:
    """ψ(x + ½) − ψ(x), the derivative of ``_log_gamma_step``."""
    large = x.clamp(min=_LARGE)
    square = large.square().reciprocal()
    series = 1 / 8 + square * (-1 / 64 + square * (1 / 128 + square * (-17 / 2048 + square * 31 / 2048)))
    return torch.where(x > _LARGE, 0.5 / large + series * square, torch.digamma(x + 0.5) - torch.digamma(x))
