"""Importance-sampling bound on log p(x) of a trained model."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vae_hydra.distributions import log_density
from vae_hydra.model.vae import VAE, VAEOutput

# Values of decoded examples held at once: 64 MiB in single precision, several times over.
MAX_VALUES = 2**24


def importance_weighted_bound(
    vae: VAE, inputs: Tensor, x: Tensor, samples: int, y: Tensor | None = None, max_values: int = MAX_VALUES
) -> Tensor:
    """log (1/K)·Σₖ p(x|zₖ)·p(zₖ)/q(zₖ|x) with zₖ ~ q(z|x), per example [nats]: at most log p(x) in expectation.

    It rises towards log p(x) with K; at K = 1 it is one draw of the ELBO.

    Args:
        vae: the model.
        inputs: input of the encoder, [B, *input_shape].
        x: examples [B, *x_shape].
        samples: K ≥ 1.
        y: labels [B] for a conditional model; the bound is then on log p(x|y).
        max_values: draws are decoded in chunks of at most this many values, but of one draw at least.

    Returns:
        [B].

    Source: Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", 2016.
    """
    q, prior = vae.encode(inputs, y), vae.prior_distribution()
    chunk = max(1, max_values // x.numel())
    total = torch.full(x.shape[:1], -torch.inf, device=x.device, dtype=x.dtype)
    for start in range(0, samples, chunk):
        z = q.sample(torch.Size([min(chunk, samples - start)]))
        log_joint = vae.log_likelihood(VAEOutput(q, z, vae.decode(z, y)), x) + log_density(prior, z)
        log_weights = log_joint - log_density(q, z)
        # A draw beyond the precision has the weight ∞ − ∞. Leaving it out can only lower the bound.
        log_weights = log_weights.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
        total = torch.logaddexp(total, log_weights.logsumexp(0))
    return total - math.log(samples)
