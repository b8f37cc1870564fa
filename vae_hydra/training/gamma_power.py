"""The γ-power divergence between encoder and decoder that are Student's t together with x: t³VAE's objective."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from vae_hydra.model.multivariate_t import MultivariateTLikelihood, MultivariateTSampler, log_base
from vae_hydra.model.vae import VAE
from vae_hydra.training.objective import Objective, Pass


class GammaPower(Objective):
    """½·[|x − x̂(z)|²/σ² + β·R(loc, Σ)] for each example, with z ~ q(z|x) and ``regulariser`` R.

    For the encoder t_L(loc, Σ/(1 + n/ν), ν + n) and the joint model t_{n+L} of x and z, E over the data of this loss
    at β = 1 is their γ-power divergence with γ = −2/(ν + n + L), up to a positive factor, a constant and terms of
    order γ in |Σ|. As ν → ∞ it becomes the negative ELBO of Normal latents, up to a constant.

    It is no likelihood in nats. The scores keep log p(x|z), KL and ELBO of the same model.

    Source: Kim, Kwon, Cho, Lee and Won, "t³-Variational Autoencoder: Learning Heavy-tailed Data with Student's t and
    Power Divergence", 2024.
    """

    def check(self, vae: VAE) -> None:
        sampler, likelihood = vae.sampler, vae.likelihood
        if not isinstance(sampler, MultivariateTSampler) or not isinstance(likelihood, MultivariateTLikelihood):
            raise ValueError(
                "objective=gamma_power is for x and z that are Student's t together; use sampler=multivariate_t and "
                "likelihood=multivariate_t"
            )
        if not sampler.values or likelihood.learn_scale:
            raise ValueError("objective=gamma_power needs sampler.given_x=true and likelihood.learn_scale=false")
        if vae.prior is not None:
            raise ValueError(
                "objective=gamma_power has the sampler's own prior and would train no other; use prior=standard"
            )
        prior_df, df = float(sampler.df), float(likelihood.df)
        if prior_df != df or df <= 2:
            raise ValueError(
                "objective=gamma_power needs sampler.df and likelihood.df to be the same number > 2, but got "
                f"{prior_df:g} and {df:g}"
            )

    def __call__(self, vae: VAE, passed: Pass, beta: float | Tensor) -> Tensor:
        q: Any = passed.output.q
        df, x_scale = vae.sampler.get_buffer("df"), vae.likelihood.get_buffer("fixed_scale")
        values = math.prod(vae.x_shape)
        squares = ((passed.x - passed.output.p.mean) / x_scale).square().flatten(-len(vae.x_shape)).sum(-1)
        log_variance = 2 * q.scale.log() + torch.log1p(values / df)
        # Beside the axis of latents, where the runs of a stack differ in σ.
        beside = x_scale.reshape(-1, 1, 1) if x_scale.dim() else x_scale
        return 0.5 * (squares + beta * regulariser(q.loc, log_variance, df, values, beside))


def regulariser(loc: Tensor, log_variance: Tensor, df: Tensor, values: int, x_scale: Tensor) -> Tensor:
    """|loc|² + ν/(ν + n − 2)·tr Σ − ν·C·|Σ|^(−γ/(2·(1 + γ))) + ν·T, of shape [...].

    With b = ``log_base``, T = exp(2·b/(ν + n − 2)) and C = (1 + L/(ν + n − 2))·exp(2·b/(ν + n + L − 2)). Up to a
    positive factor it is the γ-power divergence of q(z|x) from ``alternative_prior``: 0 there, and positive elsewhere.

    Args:
        loc: [..., L].
        log_variance: ln of the diagonal of Σ, [..., L].
        df: ν > 2, of shape [1].
        values: n.
        x_scale: σ, which broadcasts with df.
    """
    latents, below = loc.shape[-1], (df + values - 2).squeeze(-1)
    base, nu = log_base(df, values, x_scale).squeeze(-1), df.squeeze(-1)
    log_ratio = (log_variance.sum(-1) - 2 * latents * base / below) / (below + latents) + torch.log1p(latents / below)
    spread = loc.square().sum(-1) + nu / below * log_variance.exp().sum(-1)
    # ν·T − ν·C·|Σ|^…, two large numbers for a large ν.
    return spread - nu * (2 * base / below).exp() * torch.expm1(log_ratio)
