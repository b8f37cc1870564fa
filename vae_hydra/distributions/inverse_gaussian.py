"""The Inverse Gaussian (Wald) distribution with an unbiased reparameterised gradient."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints, register_kl
from torch.distributions.utils import broadcast_all, euler_constant
from torch.types import _size

from vae_hydra.base.checks import one_of
from vae_hydra.distributions.special import normal_cdf

GRADIENTS = ("implicit", "pathwise")


class InverseGaussian(Distribution):
    r"""The first-passage time of a Brownian motion with drift.

    .. math:: p(x) = \sqrt{\lambda / (2\pi x^3)}\; \exp(-\lambda (x - \mu)^2 / (2\mu^2 x)), \quad x > 0

    Args:
        loc: mean μ > 0, broadcast with ``concentration`` to batch_shape.
        concentration: shape λ > 0; variance is μ³/λ.
        gradient: ``implicit`` (unbiased) or ``pathwise``. The latter differentiates the accepted root of the sampler
            as if the choice between the two roots did not depend on (μ, λ). It is biased: at μ = λ = 1 it gives
            dE[x]/dμ = 1.157 instead of 1. It exists to reproduce published results.

    Raises:
        ValueError: for an unknown ``gradient``, or parameters that are not positive (with ``validate_args``).

    Draws: Michael, Schucany and Haas, "Generating random variates using transformations with multiple
    roots", 1976. Implicit gradient: Figurnov, Mohamed and Mnih, "Implicit reparameterization gradients", 2018.

    >>> q = InverseGaussian(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
    >>> q.rsample((5,)).shape
    torch.Size([5, 2])
    >>> q.variance  # μ³/λ
    tensor([1., 2.])
    """

    arg_constraints = {"loc": constraints.positive, "concentration": constraints.positive}
    support = constraints.positive
    has_rsample = True

    def __init__(
        self,
        loc: Tensor | float,
        concentration: Tensor | float,
        gradient: str = "implicit",
        validate_args: bool | None = None,
    ) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        self.gradient = one_of("gradient", gradient, GRADIENTS)
        super().__init__(self.loc.size(), validate_args=validate_args)

    def expand(self, batch_shape: _size, _instance: InverseGaussian | None = None) -> InverseGaussian:
        new = self._get_checked_instance(InverseGaussian, _instance)
        new.loc = self.loc.expand(batch_shape)
        new.concentration = self.concentration.expand(batch_shape)
        new.gradient = self.gradient
        super(InverseGaussian, new).__init__(new.loc.size(), validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def constants(self) -> dict[str, str]:
        """Arguments that are no parameters."""
        return {"gradient": self.gradient}

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        k = 1.5 * self.loc / self.concentration
        return self.loc / (torch.sqrt(1 + k.square()) + k)

    @property
    def variance(self) -> Tensor:
        return self.loc.pow(3) / self.concentration

    @property
    def mean_log(self) -> Tensor:
        """E[ln x] = ln μ − e^y·E₁(y), with y = 2λ/μ."""
        return self.loc.log() - _scaled_exponential_integral(2 * self.concentration / self.loc)

    def rsample(self, sample_shape: _size = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        loc, concentration = self.loc.expand(shape), self.concentration.expand(shape)
        normal, chance = torch.randn_like(loc), _fine_uniform(loc)
        if self.gradient == "pathwise":
            return _transform(loc, concentration, normal, chance)
        draw = _transform(loc.detach(), concentration.detach(), normal, chance)
        return _AtFixedCdf.apply(loc, concentration, None, draw)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        deviation = (value - self.loc) / self.loc
        log_normaliser = 0.5 * (self.concentration.log() - math.log(2 * math.pi) - 3 * value.log())
        return log_normaliser - 0.5 * self.concentration * deviation.square() / value

    def cdf(self, value: Tensor) -> Tensor:
        r"""F(x) = Φ(a) + exp(2λ/μ)·Φ(−b), with a, b = √(λ/x)·(x/μ ∓ 1).

        The second term is ½·exp(−a²/2)·erfcx(b/√2), because b² − a² = 4λ/μ: neither factor overflows.
        """
        if self._validate_args:
            self._validate_sample(value)
        root = torch.sqrt(self.concentration / value)
        a, b = root * ((value - self.loc) / self.loc), root * (value / self.loc + 1)
        return torch.where(value == torch.inf, 1.0, _cdf(a, b))

    def icdf(self, value: Tensor) -> Tensor:
        """F⁻¹(p) for p in [0, 1], twice differentiable by p and the parameters."""
        loc, concentration, p = torch.broadcast_tensors(self.loc, self.concentration, value)
        x = loc.detach() * torch.exp(_log_quantile(concentration.detach() / loc.detach(), p.detach()))
        return _AtFixedCdf.apply(loc, concentration, p, x)

    def entropy(self) -> Tensor:
        """½·ln(2πe/λ) + (3/2)·E[ln x] nats."""
        return 0.5 * (1 + math.log(2 * math.pi) - self.concentration.log()) + 1.5 * self.mean_log


def _fine_uniform(like: Tensor) -> Tensor:
    """Draw from U(0, 1] with digits beyond 2⁻²⁴, the last one of a uniform number in single precision."""
    coarse, fine = torch.rand_like(like), torch.rand_like(like)
    return (1 - coarse) - 0.5 * torch.finfo(like.dtype).eps * fine


def _transform(loc: Tensor, concentration: Tensor, normal: Tensor, chance: Tensor) -> Tensor:
    """Map ε ~ N(0, 1) and c ~ U(0, 1] to a draw.

    The two roots of the Michael–Schucany–Haas transformation are μ·w and μ/w. The textbook form of w
    subtracts nearly equal numbers: in float32 at μ = 1, λ = 1e-3 over 1 % of its draws are ≤ 0.
    w = (√(1+t) + √t)⁻² with t = μ·ε²/(4λ) is the same number without a subtraction. The larger root has the
    probability w/(1 + w). For μ/λ ≥ 1e6 it is so small that the comparison needs the digits of c near 0.
    """
    t = loc * normal.square() / (4 * concentration)
    # |ε|·√(μ/4λ) and not √t, which has no derivative at ε = 0.
    root_t = normal.abs() * torch.sqrt(loc / (4 * concentration))
    w = (torch.sqrt(1 + t) + root_t).pow(-2)
    return torch.where(chance * (1 + w) < w, loc / w, loc * w)


class _AtFixedCdf(torch.autograd.Function):
    """Return x with the gradient of the quantile of a fixed probability: dx/dθ = −(∂F/∂θ)/p(x), dx/dp = 1/p(x).

    The derivatives are differentiable functions of x and θ, so that second derivatives are right too.
    For a draw, ``probability`` is None: its own probability is never computed.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(loc: Tensor, concentration: Tensor, probability: Tensor | None, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2], output)
        ctx.save_for_forward(*inputs[:2], output)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor, Tensor | None, None]:
        (grad,), parameters = grad_outputs, ctx.saved_tensors
        by_loc, by_concentration = _implicit_gradient(*parameters)
        by_probability = grad * _slope(*parameters) if ctx.needs_input_grad[2] else None
        return grad * by_loc, grad * by_concentration, by_probability, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        parameters = ctx.saved_tensors
        factors = (*_implicit_gradient(*parameters), _slope(*parameters))
        # The last argument, the value itself, has no tangent.
        terms = (factor * tangent for factor, tangent in zip(factors, tangents[:3], strict=True) if tangent is not None)
        return reduce(torch.add, terms)


def _implicit_gradient(loc: Tensor, concentration: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """dx/dμ = (2λ/μ²)·√(x³/λ)·M(b) and dx/dλ = x/λ − (2/μ)·√(x³/λ)·M(b).

    With b = √(λ/x)·(x/μ + 1) and the Mills ratio M(b) = Φ(−b)/φ(b) = √(π/2)·erfcx(b/√2).
    """
    ratio = x / loc
    b = torch.sqrt(concentration / x) * (ratio + 1)
    mills = math.sqrt(math.pi / 2) * torch.special.erfcx(b / math.sqrt(2))
    shared = 2 * ratio * torch.sqrt(x / concentration) * mills
    return shared * concentration / loc, x / concentration - shared


def _slope(loc: Tensor, concentration: Tensor, x: Tensor) -> Tensor:
    """1/p(x)."""
    return torch.exp(-InverseGaussian(loc, concentration, validate_args=False).log_prob(x))


def _cdf(a: Tensor, b: Tensor) -> Tensor:
    """Φ(a) + ½·exp(−a²/2)·erfcx(b/√2)."""
    return normal_cdf(a) + 0.5 * torch.exp(-0.5 * a.square()) * torch.special.erfcx(b / math.sqrt(2))


def _survival(a: Tensor, b: Tensor) -> Tensor:
    """1 − F(x) = ½·exp(−a²/2)·(erfcx(a/√2) − erfcx(b/√2)), which keeps its digits in the upper tail."""
    difference = torch.special.erfcx(a / math.sqrt(2)) - torch.special.erfcx(b / math.sqrt(2))
    return 0.5 * torch.exp(-0.5 * a.square()) * difference


def _log_quantile(ratio: Tensor, p: Tensor, steps: int = 64) -> Tensor:
    """t = ln(x/μ) with F(x) = p, for ``ratio`` λ/μ, by bisection: F has no closed inverse.

    With a = 2√(λ/μ)·sinh(t/2) and b = 2√(λ/μ)·cosh(t/2), Φ(a) ≤ F(x) ≤ 2·Φ(a) brackets t.
    """
    twice_root, in_upper_half = 2 * ratio.sqrt(), p > 0.5
    low, high = (2 * torch.asinh(torch.special.ndtri(q) / twice_root) for q in (p / 2, p))
    for _ in range(steps):
        middle = (low + high) / 2
        a, b = twice_root * torch.sinh(middle / 2), twice_root * torch.cosh(middle / 2)
        is_below = torch.where(in_upper_half, _survival(a, b) > 1 - p, _cdf(a, b) < p)
        low, high = torch.where(is_below, middle, low), torch.where(is_below, high, middle)
    return (low + high) / 2


@register_kl(InverseGaussian, InverseGaussian)
def _kl_inverse_gaussian(p: InverseGaussian, q: InverseGaussian) -> Tensor:
    """½·[λ₂/λ₁ − 1 − ln(λ₂/λ₁) + λ₂·(μ₁ − μ₂)²/(μ₁·μ₂²)] nats, the sum of two terms ≥ 0."""
    excess = (q.concentration - p.concentration) / p.concentration
    # log1p keeps the small differences of a trained model, but becomes −∞ where excess rounds to −1.
    far = q.concentration.log() - p.concentration.log()
    log_ratio = torch.where(excess.abs() < 0.5, torch.log1p(excess.clamp(-0.5, 0.5)), far)
    shape_term = excess - log_ratio
    location_term = q.concentration / p.loc * (p.loc / q.loc - 1).square()
    return 0.5 * (shape_term + location_term)


def _scaled_exponential_integral(y: Tensor, series_terms: int = 24, fraction_terms: int = 80) -> Tensor:
    """e^y·E₁(y) for y > 0, which torch lacks: power series up to 1, continued fraction above.

    Abramowitz and Stegun 5.1.11 and 5.1.22 (contracted). Both branches have a fixed length.
    """
    small, large = y.clamp(max=1), y.clamp(min=1)
    total, term = torch.zeros_like(small), torch.ones_like(small)
    for k in range(1, series_terms + 1):
        term = -term * small / k
        total = total - term / k
    series = small.exp() * (total - small.log() - euler_constant)
    fraction = large + 2 * fraction_terms + 1
    for k in range(fraction_terms, 0, -1):
        fraction = large + 2 * k - 1 - k * k / fraction
    return torch.where(y <= 1, series, 1 / fraction)
