"""A model whose log p(x) is known: linear, Gaussian, with a diagonal posterior."""

from __future__ import annotations

import torch
from torch import nn
from torch.distributions import MultivariateNormal, Normal

from vae_hydra.model.likelihoods import GaussianLikelihood
from vae_hydra.model.samplers import NormalSampler
from vae_hydra.model.vae import VAE

D, L, SCALE = 6, 3, 0.5
# Orthogonal columns, so that the exact posterior has independent latents.
COLUMNS = torch.linalg.qr(torch.arange(36.0, dtype=torch.float64).reshape(6, 6).sin())[0][:, :L] * torch.tensor(
    [2, 1, 0.5]
)
OFFSET = torch.linspace(-1, 1, D, dtype=torch.float64)


def linear_model(exact: bool) -> VAE:
    """x = Wz + b + ε; its encoder returns the exact posterior, or the prior whatever x is."""
    decoder, encoder = nn.Linear(L, D).double(), nn.Linear(D, 2 * L).double()
    precision = 1 + COLUMNS.square().sum(0) / SCALE**2
    with torch.no_grad():
        decoder.weight.copy_(COLUMNS)
        decoder.bias.copy_(OFFSET)
        encoder.weight.zero_()
        encoder.bias.zero_()
        if exact:
            gain = (COLUMNS / SCALE**2 / precision).T
            encoder.weight[:L] = gain
            encoder.bias[:L] = -gain @ OFFSET
            encoder.bias[L:] = -precision.log()
    return VAE(
        encoder, NormalSampler(Normal(0.0, 1.0), positive="half_exp"), decoder, GaussianLikelihood(SCALE), L, (D,)
    ).double()


def exact_log_density(x: torch.Tensor) -> torch.Tensor:
    covariance = COLUMNS @ COLUMNS.T + SCALE**2 * torch.eye(D, dtype=torch.float64)
    return MultivariateNormal(OFFSET, covariance).log_prob(x)
