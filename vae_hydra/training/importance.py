"""The importance-weighted bound on log p(x), with two gradients of the encoder."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_hydra.distributions import log_density, parameters, with_parameters
from vae_hydra.model.vae import VAE, VAEOutput


def importance_weighted_loss(
    vae: VAE, q: Distribution, x: Tensor, y: Tensor | None, draws: int, beta: float | Tensor, doubly: bool
) -> Tensor:
    """−log (1/K)·Σₖ wₖ per example [nats], with wₖ = p(x|zₖ)·(p(zₖ)/q(zₖ|x))^β and zₖ ~ q(z|x).

    At β = 1 it bounds −log p(x) from above, and more closely with more draws. Its gradient with respect to the encoder
    has a signal-to-noise ratio that falls as 1/√K. With ``doubly``, the gradient of the same expectation leaves out the
    score function: each draw's gradient counts w̃ₖ², the square of its normalised weight, and that of q's parameters in
    log q(zₖ|x) not at all. Its ratio rises with K; at K = 1 it is that of "sticking the landing".

    Args:
        vae: the model.
        q: q(z|x), of batch_shape [B, L].
        x: examples [B, *x_shape].
        y: labels [B] for a conditional model.
        draws: K ≥ 1.
        beta: weight of the log-ratio.
        doubly: whether to use the doubly reparameterised gradient.

    Returns:
        [B].

    Sources: Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", 2016; Tucker, Lawson, Gu and Maddison,
    "Doubly reparameterized gradient estimators for Monte Carlo objectives", 2019.
    """
    z = q.rsample(torch.Size([draws]))
    density = with_parameters(q, {name: value.detach() for name, value in parameters(q).items()}) if doubly else q
    log_ratio = vae.log_prior(z) - log_density(density, z)
    log_weights = vae.log_likelihood(VAEOutput(q, z, vae.decode(z, y)), x) + beta * log_ratio
    if doubly and z.requires_grad:
        # The loss weights each draw's gradient by w̃ₖ already.
        normalised = log_weights.detach().softmax(0).unsqueeze(-1)
        z.register_hook(lambda gradient: gradient * normalised)
    return math.log(draws) - log_weights.logsumexp(0)
