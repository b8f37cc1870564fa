"""The parts of a model in which x and z are Student's t together: t³VAE's posterior, prior and likelihood.

p(z) = t_L(0, I, ν) and p(x|z) = t_n(x̂(z), σ²·(1 + |z|²/ν)/(1 + L/ν)·I, ν + L) make (x, z) jointly t-distributed around
x̂, and the family of q(z|x) is that of a joint t given x: t_L(loc, scale²/(1 + n/ν), ν + n), for n values of x.

Source: Kim, Kwon, Cho, Lee and Won, "t³-Variational Autoencoder: Learning Heavy-tailed Data with Student's t and Power
Divergence", 2024.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_hydra.base import checks
from vae_hydra.distributions import MultivariateT, ValuesOfT
from vae_hydra.model.likelihoods import Likelihood, LocationScaleLikelihood
from vae_hydra.model.samplers import Sampler


class MultivariateTSampler(Sampler):
    """q(z|x) = MultivariateT(ν + n, loc, scale/√(1 + n/ν)): all latents of an example share one χ².

    The prior is MultivariateT(ν, 0, 1). The KL has no closed form and is estimated from the draw.

    Args:
        latent_dim: L.
        x_shape: shape of one example, with n values.
        positive: map from features to scales.
        df: ν > 0.
        given_x: whether q(z|x) has the n further degrees of freedom and the smaller scale of a joint t given x;
            otherwise it is MultivariateT(ν, loc, scale).
        x_scale: σ of the likelihood, for the prior ``alternative_prior``; None for the one above.

    >>> q = MultivariateTSampler(latent_dim=2, x_shape=[4], df=4.0)(torch.zeros(5, 4))
    >>> q.df, q.scale[0]  # ν + n, and √½
    (tensor([8.]), tensor([0.7071, 0.7071]))
    """

    is_joint = True
    df: Tensor

    def __init__(
        self,
        latent_dim: int,
        x_shape: Sequence[int],
        positive: str = "half_exp",
        df: float = 5.0,
        given_x: bool = True,
        x_scale: float | None = None,
    ) -> None:
        value = checks.positive("sampler.df", df)
        self.values = math.prod(x_shape) if checks.boolean("sampler.given_x", given_x) else 0
        prior = MultivariateT(torch.tensor([value]), torch.zeros(latent_dim), torch.ones(latent_dim))
        if x_scale is not None:
            sigma = checks.positive("sampler.x_scale", x_scale)
            prior = alternative_prior(value, math.prod(x_shape), latent_dim, sigma)
        super().__init__(prior, positive, kl="monte_carlo")
        self.register_buffer("df", torch.tensor([value]), persistent=False)

    def forward(self, features: Tensor) -> Distribution:
        loc, scale = features.chunk(2, dim=-1)
        scale = self.positive(scale) / (1 + self.values / self.df).sqrt()
        return MultivariateT(self.df + self.values, loc, scale, validate_args=False)

    def code(self, q: Distribution) -> Tensor:
        """The location of q(z|x), which exists for every ν."""
        return q.mode


class MultivariateTLikelihood(LocationScaleLikelihood):
    """p(x|z) = t_n(x̂, σ²·(1 + |z|²/ν)/(1 + L/ν)·I, ν + L): all values of x share one χ², and far z have a wide p(x|z).

    Args:
        latent_dim: L.
        df: ν > 0.
        scale, options: as for ``LocationScaleLikelihood``, without a scale for each value.

    >>> likelihood = MultivariateTLikelihood(latent_dim=1, df=3.0, scale=1.0, x_shape=[2])
    >>> p = likelihood(torch.zeros(1, 2), z=torch.tensor([[3.0]]))
    >>> p.scale.square()  # (1 + 9/3)/(1 + 1/3)
    tensor([[3.]])
    """

    reads_latents = True
    df: Tensor

    def __init__(self, latent_dim: int, df: float = 5.0, scale: float = 1.0, **options: Any) -> None:
        super().__init__(scale, **options)
        if not isinstance(self.learn_scale, bool):
            raise ValueError(
                "likelihood=multivariate_t has one scale for all values of x: likelihood.learn_scale must be true or "
                f"false, but got {self.learn_scale!r}"
            )
        self.latent_dim = latent_dim
        self.register_buffer("df", torch.tensor(checks.positive("likelihood.df", df)), persistent=False)

    def forward(self, features: Tensor, z: Tensor | None = None) -> Distribution:
        """p(x|z) from features [..., *x_shape] and z [..., L]; without z, that of |z|² = L, whose scale is σ."""
        location, scale = self.location_and_scale(features)
        if z is not None:
            axes = [1] * len(self.x_shape)
            squares = z.square().sum(-1).reshape(*z.shape[:-1], *axes)
            scale = scale * ((self.df + squares) / (self.df + self.latent_dim)).sqrt()
        return ValuesOfT(self.df + self.latent_dim, location, scale, len(self.x_shape), validate_args=False)


def given_latents(likelihood: Likelihood, features: Tensor, z: Tensor) -> Distribution:
    """p(x|z) of a likelihood that may read z [..., L] beside the decoder's features."""
    return likelihood(features, z) if getattr(likelihood, "reads_latents", False) else likelihood(features)


def alternative_prior(df: float, values: int, latent_dim: int, x_scale: float) -> MultivariateT:
    """t_L(0, τ²·I, ν + n), to which t³VAE's regulariser draws q(z|x); an alternative to p(z) for generation.

    τ² = (1 + n/ν)⁻¹·exp(2·b/(ν + n − 2)) with b = ``log_base``.

    Raises:
        ValueError: if ν ≤ 2.
    """
    if df <= 2:
        raise ValueError(f"sampler.x_scale needs sampler.df > 2, for x to have a variance, but got {df!r}")
    log_square = 2 * log_base(torch.tensor(df), values, torch.tensor(x_scale)) / (df + values - 2)
    scale = (log_square - math.log1p(values / df)).mul(0.5).exp()
    return MultivariateT(torch.tensor([df + values]), torch.zeros(latent_dim), scale.expand(latent_dim))


def log_base(df: Tensor, values: int, x_scale: Tensor) -> Tensor:
    """ln[σ⁻ⁿ·C·(ν − 2)/(ν + n − 2)], with C = Γ((ν + n)/2)/(Γ(ν/2)·(νπ)^(n/2)), the mode of a t_n(0, I, ν)."""
    log_mode = torch.lgamma(0.5 * (df + values)) - torch.lgamma(0.5 * df) - 0.5 * values * (math.pi * df).log()
    return log_mode - values * x_scale.log() + ((df - 2) / (df + values - 2)).log()
