"""Heavy radius, light angle: latents with one inverse-gamma radius, and positive vectors split into sum and shares."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Dirichlet, Distribution, Gamma, Normal, constraints, kl_divergence, register_kl
from torch.types import _size

# Least concentration of a share.
LEAST_SHARE = 1e-6


class RadiusLatents(Distribution):
    r"""Latents z of which the first is a radius, z₀ ~ InverseGamma(α, β), and the others are z ~ N(loc, scale²).

    .. math:: p(z_0) = \frac{\beta^\alpha}{\Gamma(\alpha)} z_0^{-\alpha - 1} e^{-\beta / z_0}

    P(z₀ > t) falls as t^(−α), so α is the tail index of the radius.

    Args:
        concentration: α > 0, of shape [..., 1].
        rate: β > 0, of shape [..., 1].
        loc: of shape [..., L − 1].
        scale: > 0, of shape [..., L − 1].

    Raises:
        ValueError: if ``concentration``, ``rate`` or ``scale`` is not positive (with ``validate_args``).

    >>> q = RadiusLatents(torch.tensor([3.0]), torch.tensor([4.0]), torch.zeros(5, 2), torch.ones(2))
    >>> q.batch_shape, q.event_shape, q.mean[0]  # β/(α − 1)
    (torch.Size([5]), torch.Size([3]), tensor([2., 0., 0.]))
    """

    arg_constraints = {
        "concentration": constraints.independent(constraints.positive, 1),
        "rate": constraints.independent(constraints.positive, 1),
        "loc": constraints.real_vector,
        "scale": constraints.independent(constraints.positive, 1),
    }
    has_rsample = True

    def __init__(
        self, concentration: Tensor, rate: Tensor, loc: Tensor, scale: Tensor, validate_args: bool | None = None
    ) -> None:
        self.concentration, self.rate, self.loc, self.scale = concentration, rate, loc, scale
        radius = torch.broadcast_shapes(concentration.shape[:-1], rate.shape[:-1])
        others = torch.broadcast_shapes(loc.shape, scale.shape)
        batch = torch.broadcast_shapes(radius, others[:-1])
        super().__init__(batch, torch.Size([1 + others[-1]]), validate_args=validate_args)

    def expand(self, batch_shape: _size, _instance: RadiusLatents | None = None) -> RadiusLatents:
        new = self._get_checked_instance(RadiusLatents, _instance)
        new.concentration, new.rate = (value.expand(*batch_shape, 1) for value in (self.concentration, self.rate))
        new.loc, new.scale = (value.expand(*batch_shape, self.event_shape[0] - 1) for value in (self.loc, self.scale))
        super(RadiusLatents, new).__init__(torch.Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def support(self) -> constraints.Constraint:
        """A positive radius and real numbers."""
        parts = constraints.cat([constraints.positive, constraints.real], -1, [1, self.event_shape[0] - 1])
        return constraints.independent(parts, 1)

    @property
    def inverse_radius(self) -> Gamma:
        """The distribution of 1/z₀, of batch_shape [..., 1]."""
        return Gamma(self.concentration, self.rate, validate_args=False)

    @property
    def others(self) -> Normal:
        """The distribution of the latents besides the radius, of batch_shape [..., L − 1]."""
        return Normal(self.loc, self.scale, validate_args=False)

    @property
    def mean(self) -> Tensor:
        above = self.concentration - 1
        return self._beside(torch.where(above > 0, self.rate / above, torch.inf), self.loc)

    @property
    def mode(self) -> Tensor:
        return self._beside(self.rate / (self.concentration + 1), self.loc)

    @property
    def centre(self) -> Tensor:
        """1/E[1/z₀] = β/α and loc: between mode and mean, and finite for every α."""
        return self._beside(self.rate / self.concentration, self.loc)

    @property
    def variance(self) -> Tensor:
        above = self.concentration - 2
        finite = (self.rate / (self.concentration - 1)).square() / above
        return self._beside(torch.where(above > 0, finite, torch.inf), self.scale.square())

    def rsample(self, sample_shape: _size = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        draw = torch._standard_gamma(self.concentration.expand(*shape[:-1], 1))
        # Away from 0, to which a draw of a small α rounds.
        radius = self.rate / draw.clamp(min=torch.finfo(draw.dtype).tiny)
        noise = torch.randn(*shape[:-1], shape[-1] - 1, dtype=self.loc.dtype, device=self.loc.device)
        return torch.cat([radius, self.loc + self.scale * noise], -1)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        radius, others = value[..., :1], value[..., 1:]
        # A radius ≤ 0 has the density 0; ln of a safe value keeps its gradient finite.
        safe = radius.clamp(min=torch.finfo(radius.dtype).tiny)
        of_radius = self.inverse_radius.log_prob(1 / safe) - 2 * safe.log()
        return torch.where(radius > 0, of_radius, -torch.inf).squeeze(-1) + self.others.log_prob(others).sum(-1)

    def entropy(self) -> Tensor:
        """H of the inverse gamma, α + ln β + lnΓ(α) − (1 + α)·ψ(α), plus that of the Normals [nats]."""
        alpha = self.concentration
        of_radius = alpha + self.rate.log() + torch.lgamma(alpha) - (1 + alpha) * torch.digamma(alpha)
        return of_radius.squeeze(-1) + self.others.entropy().sum(-1)

    def _beside(self, radius: Tensor, others: Tensor) -> Tensor:
        lead = self.batch_shape
        return torch.cat([radius.expand(*lead, 1), others.expand(*lead, self.event_shape[0] - 1)], -1)


@register_kl(RadiusLatents, RadiusLatents)
def _kl_radius_latents(p: RadiusLatents, q: RadiusLatents) -> Tensor:
    """The sum of the KLs of radius and others; that of two inverse gammas is that of the gammas of 1/z₀."""
    radius = kl_divergence(p.inverse_radius, q.inverse_radius)
    return radius.squeeze(-1) + kl_divergence(p.others, q.others).sum(-1)


class RadiusAngle(Distribution):
    r"""Positive examples x = r·θ, with r = Σx ~ Gamma and the shares θ = x/r ~ Dirichlet, of batch_shape [..., *shape].

    .. math:: r \sim \mathrm{Gamma}(k, k / M),\; \theta \sim \mathrm{Dirichlet}(\kappa\, m / M), \quad M = \sum_i m_i

    so that E[x] = m. ``log_prob`` gives every value the D-th part of the log-density of the D values of x,
    ln p(r) + ln p(θ) − (D − 1)·ln r, in which the last term is the Jacobian of x → (r, θ): only its sum has a meaning.

    Args:
        loc: m > 0, of shape [..., *shape] with two values or more.
        concentration: k > 0 of the radius, which has the variance M²/k; one for all values of an example.
        precision: κ > 0 of the angle, likewise; a share t has the variance t·(1 − t)/(κ + 1).
        event_dims: the number of axes of ``shape``.

    >>> p = RadiusAngle(torch.tensor([1.0, 3.0]), torch.tensor(2.0), torch.tensor(7.0), event_dims=1)
    >>> p.mean, p.log_prob(torch.tensor([2.0, 1.0])).sum()
    (tensor([1., 3.]), tensor(-4.7572))
    """

    arg_constraints = {
        "loc": constraints.positive,
        "concentration": constraints.positive,
        "precision": constraints.positive,
    }
    support = constraints.positive
    has_rsample = True

    def __init__(
        self,
        loc: Tensor,
        concentration: Tensor,
        precision: Tensor,
        event_dims: int,
        validate_args: bool | None = None,
    ) -> None:
        self.loc, self.concentration, self.precision, self.event_dims = loc, concentration, precision, event_dims
        shape = torch.broadcast_shapes(loc.shape, concentration.shape, precision.shape)
        super().__init__(shape, validate_args=validate_args)

    @property
    def constants(self) -> dict[str, int]:
        """Arguments that are no parameters."""
        return {"event_dims": self.event_dims}

    @property
    def radius(self) -> Gamma:
        """The distribution of r, of batch_shape [...]."""
        k, total = self._of_example(self.concentration), self._values(self.loc).sum(-1)
        k, total = torch.broadcast_tensors(k, total)
        return Gamma(k, k / total, validate_args=False)

    @property
    def angle(self) -> Dirichlet:
        """The distribution of θ, of batch_shape [...] and event_shape [D]."""
        values = self._values(self.loc)
        parts = self._of_example(self.precision).unsqueeze(-1) * values / values.sum(-1, keepdim=True)
        # Above 0, where a share underflows.
        return Dirichlet(parts.clamp(min=LEAST_SHARE), validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.loc.expand(self.batch_shape)

    @property
    def variance(self) -> Tensor:
        """E[r²]·E[θ²] − m² = M²·(1 + 1/k)·(t² + t·(1 − t)/(κ + 1)) − m²."""
        total = self.loc.sum(list(range(-self.event_dims, 0)), keepdim=True)
        share = self.loc / total
        square = share.square() + share * (1 - share) / (self.precision + 1)
        return (total.square() * (1 + 1 / self.concentration) * square - self.loc.square()).expand(self.batch_shape)

    def rsample(self, sample_shape: _size = ()) -> Tensor:
        shape = torch.Size(sample_shape)
        x = self.radius.rsample(shape).unsqueeze(-1) * self.angle.rsample(shape)
        return x.clamp(min=torch.finfo(x.dtype).tiny).reshape(self._extended_shape(shape))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        x = self._values(value)
        radius = x.sum(-1)
        shares = (x / radius.unsqueeze(-1)).clamp(min=torch.finfo(x.dtype).tiny)
        together = self.radius.log_prob(radius) + self.angle.log_prob(shares) - (x.shape[-1] - 1) * radius.log()
        each = (together / x.shape[-1]).reshape(*together.shape, *[1] * self.event_dims)
        return each.expand(torch.broadcast_shapes(value.shape, self.batch_shape))

    def _values(self, x: Tensor) -> Tensor:
        """The values of each example on one axis, [..., D]."""
        return x.expand(torch.broadcast_shapes(x.shape, self.batch_shape)).flatten(-self.event_dims)

    def _of_example(self, parameter: Tensor) -> Tensor:
        """A parameter that is the same for all values of an example, without their axes."""
        for _ in range(min(self.event_dims, parameter.dim())):
            parameter = parameter[..., 0]
        return parameter
