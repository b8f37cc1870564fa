"""A point in place of a posterior."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_hydra.distributions import Delta
from vae_hydra.model.samplers.sampler import Sampler


class DeterministicSampler(Sampler):
    """q(z|x) is a point: the model is a plain autoencoder.

    The KL is 0 by convention. The KL of a point to a density is infinite, so the model has no ELBO. Only
    generation uses the prior.

    >>> DeterministicSampler(torch.distributions.Normal(0.0, 1.0))(torch.tensor([1.0, 2.0])).rsample()
    tensor([1., 2.])
    """

    parameters_per_latent = 1
    has_elbo = False

    def __init__(self, prior: Distribution) -> None:
        super().__init__(prior)

    def forward(self, features: Tensor) -> Distribution:
        return Delta(features, validate_args=False)

    def kl_divergence(self, q: Distribution, z: Tensor, prior: Distribution | None = None) -> Tensor:
        return torch.zeros_like(z)
