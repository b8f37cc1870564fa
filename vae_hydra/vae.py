"""The variational autoencoder: encoder, sampler, decoder and likelihood put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn
from torch.distributions import Distribution

from vae_hydra.likelihoods import Likelihood
from vae_hydra.samplers import Sampler


class VAEOutput(NamedTuple):
    """What one pass gives: the posterior, a draw from it, and the distribution of the data given the draw."""

    q: Distribution
    z: Tensor
    p: Distribution


class VAE(nn.Module):
    """x → q(z|x) → z → p(x|z).

    Args:
        encoder: x [..., *input_shape] → features [..., sampler.parameters_per_latent·latent_dim].
        sampler: features → q(z|x) of batch_shape [..., latent_dim].
        decoder: z [..., latent_dim] → features [..., likelihood.parameters_per_value·x_shape[0], *x_shape[1:]].
        likelihood: features → p(x|z) of batch_shape [..., *x_shape].
        latent_dim: number of latents L.
        x_shape: shape of one example.
    """

    def __init__(
        self,
        encoder: nn.Module,
        sampler: Sampler,
        decoder: nn.Module,
        likelihood: Likelihood,
        latent_dim: int,
        x_shape: Sequence[int],
    ) -> None:
        super().__init__()
        self.encoder, self.sampler = encoder, sampler
        self.decoder, self.likelihood = decoder, likelihood
        self.latent_dim, self.x_shape = latent_dim, tuple(x_shape)

    def forward(self, x: Tensor) -> VAEOutput:
        q = self.encode(x)
        z = q.rsample()
        return VAEOutput(q, z, self.decode(z))

    def encode(self, x: Tensor) -> Distribution:
        """q(z|x), of batch_shape [..., L], for inputs [..., *input_shape]."""
        return self.sampler(_full_precision(self.encoder(x)))

    def decode(self, z: Tensor) -> Distribution:
        """p(x|z), of batch_shape [..., *x_shape], for latents [..., L]."""
        return self.likelihood(_full_precision(self.decoder(z)))

    def sample(self, n: int) -> Tensor:
        """Means of p(x|z) for n draws z ~ p(z), of shape [n, *x_shape]."""
        return self.decode(self.sampler.prior_sample((n, self.latent_dim))).mean

    def kl_divergence(self, output: VAEOutput) -> Tensor:
        """KL(q‖p) per example and latent [nats], of shape [..., L]."""
        return self.sampler.kl_divergence(output.q, output.z)

    def log_likelihood(self, output: VAEOutput, x: Tensor) -> Tensor:
        """log p(x|z) per example [nats], of shape [...]."""
        return output.p.log_prob(x).flatten(-len(self.x_shape)).sum(-1)


def _full_precision(features: Tensor) -> Tensor:
    """Densities need single precision also where mixed precision made the features half."""
    return features.float() if features.dtype.itemsize < 4 else features
