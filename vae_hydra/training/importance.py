"""Importance-weighted bounds on log p(x) from several draws of z, with two gradients of the encoder."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_hydra.base import checks
from vae_hydra.distributions import log_density, parameters, with_axis, with_parameters
from vae_hydra.model.vae import VAE, VAEOutput
from vae_hydra.training.objective import Objective, Pass


class _WeightsOfDraws(Objective):
    """An objective of the density of q(z|x) at several draws."""

    def check(self, vae: VAE) -> None:
        if not vae.sampler.has_elbo:
            raise ValueError(
                "objective: a bound from several draws weights them by the density of q(z|x), which a deterministic "
                "sampler lacks; use objective=elbo"
            )


class ImportanceWeighted(_WeightsOfDraws):
    """``importance_weighted_loss``: the mean of M bounds from K draws each.

    Args:
        draws: K ≥ 1, draws of z for each example in a bound.
        groups: M ≥ 1. The encoder's gradient has a signal-to-noise ratio of order √(M/K), so that M groups make it
            clearer at the price of a looser bound than one of M·K draws.
        doubly: whether to use the doubly reparameterised gradient of the encoder.
    """

    def __init__(self, draws: int = 16, groups: int = 1, doubly: bool = False) -> None:
        self.draws = checks.positive_integer("objective.draws", draws)
        self.groups = checks.positive_integer("objective.groups", groups)
        self.doubly = checks.boolean("objective.doubly", doubly)
        self.passes = 1 + self.draws * self.groups

    def check(self, vae: VAE) -> None:
        super().check(vae)
        if self.doubly and list(vae.sampler.parameters()):
            raise ValueError(
                "objective: the doubly reparameterised gradient needs a q(z|x) whose parameters are all features of "
                "the encoder, and this sampler has weights of its own; use objective=iwae"
            )

    def __call__(self, vae: VAE, passed: Pass, beta: float | Tensor) -> Tensor:
        q, x, y = passed.output.q, passed.x, passed.y
        return importance_weighted_loss(vae, q, x, y, self.draws, beta, self.doubly, self.groups)


class CombinedBounds(_WeightsOfDraws):
    """−[α·(1/K)·Σₖ log wₖ + (1 − α)·log (1/K)·Σₖ wₖ] per example [nats]: a mean of the ELBO and the bound of K draws.

    The weights wₖ are those of ``importance_weighted_loss``. The ELBO's part gives the encoder a clear gradient.

    Args:
        draws: K ≥ 1, draws of z for each example.
        elbo_weight: α, from 0 for the bound of K draws to 1 for the ELBO.

    Source: Rainforth, Kosiorek, Le, Maddison, Igl, Wood and Teh, "Tighter variational bounds are not necessarily
    better", 2018, whose CIWAE it is.
    """

    def __init__(self, draws: int = 16, elbo_weight: float = 0.05) -> None:
        self.draws = checks.positive_integer("objective.draws", draws)
        if checks.non_negative("objective.elbo_weight", elbo_weight) > 1:
            raise ValueError(f"objective.elbo_weight must be a number in [0, 1], but got {elbo_weight!r}")
        self.elbo_weight = elbo_weight
        self.passes = 1 + self.draws

    def __call__(self, vae: VAE, passed: Pass, beta: float | Tensor) -> Tensor:
        weights = log_weights(vae, passed.output.q, passed.x, passed.y, self.draws, beta)
        bound = weights.logsumexp(-2) - math.log(self.draws)
        return -torch.lerp(bound, weights.mean(-2), self.elbo_weight)


def importance_weighted_loss(
    vae: VAE,
    q: Distribution,
    x: Tensor,
    y: Tensor | None,
    draws: int,
    beta: float | Tensor,
    doubly: bool,
    groups: int = 1,
) -> Tensor:
    """−(1/M)·Σₘ log (1/K)·Σₖ wₘₖ per example [nats], with w = p(x|z)·(p(z)/q(z|x))^β for each z ~ q(z|x).

    At β = 1 it bounds −log p(x) from above, and more closely with more draws K. Its gradient with respect to the
    encoder has a signal-to-noise ratio that falls as √(M/K). With ``doubly``, the gradient of the same expectation
    leaves out the score function: each draw's gradient counts (1 − β)·w̃ₖ + β·w̃ₖ², with its normalised weight w̃ₖ, and
    that of q's parameters in log q(zₖ|x) not at all. At β = 1 its ratio rises with K; at K = 1 it is that of "sticking
    the landing".

    Args:
        vae: the model.
        q: q(z|x), of batch_shape [..., B, L].
        x: examples [..., B, *x_shape].
        y: labels [..., B] for a conditional model.
        draws: K ≥ 1.
        beta: weight of the log-ratio.
        doubly: whether to use the doubly reparameterised gradient.
        groups: M ≥ 1.

    Returns:
        [..., B].

    Sources: Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", 2016; Tucker, Lawson, Gu and Maddison,
    "Doubly reparameterized gradient estimators for Monte Carlo objectives", 2019; Rainforth et al., "Tighter
    variational bounds are not necessarily better", 2018, for M > 1 (MIWAE).
    """
    weights = log_weights(vae, q, x, y, groups * draws, beta, draws if doubly else 0)
    return math.log(draws) - weights.unflatten(-2, (groups, draws)).logsumexp(-2).mean(-2)


def log_weights(
    vae: VAE, q: Distribution, x: Tensor, y: Tensor | None, draws: int, beta: float | Tensor, doubly_within: int = 0
) -> Tensor:
    """ln of p(x|z)·(p(z)/q(z|x))^β for ``draws`` draws of z ~ q(z|x) [nats], of shape [..., draws, B].

    ``doubly_within`` is the number of draws in each bound of the doubly reparameterised gradient; 0 for the usual one.
    """
    # Behind the axis of runs, which q(z|x) and x have in a stack.
    axis = x.dim() - len(vae.x_shape) - 1
    z = vae.draw(q, draws)
    density = with_parameters(q, {name: v.detach() for name, v in parameters(q).items()}) if doubly_within else q
    log_q = log_density(with_axis(density, axis, draws) if axis else density, z)
    # Networks take the draws for further examples.
    folded = z.flatten(axis, axis + 1)
    decoded = vae.decode(folded, None if y is None else _repeated(y, axis, draws))
    log_likelihood = vae.log_likelihood(VAEOutput(q, folded, decoded), _repeated(x, axis, draws))
    log_likelihood, log_prior = (v.unflatten(axis, (draws, -1)) for v in (log_likelihood, vae.log_prior(folded)))
    beta = beta.unsqueeze(-1) if isinstance(beta, Tensor) and beta.dim() else beta
    weights = log_likelihood + beta * (log_prior - log_q)
    if doubly_within and z.requires_grad:
        # The loss weights each draw's gradient by w̃ₖ already. The score function that is left out, E of
        # −β·w̃ₖ·∇log q, is the mean of −β·(w̃ₖ − w̃ₖ²)·∂log wₖ/∂z.
        normalised = weights.detach().unflatten(-2, (-1, doubly_within)).softmax(-2).flatten(-3, -2)
        factor = (1 - beta + beta * normalised).unsqueeze(-1)
        z.register_hook(lambda gradient: gradient * factor)
    return weights


def _repeated(values: Tensor, axis: int, count: int) -> Tensor:
    """Values [..., B, ...] with each batch ``count`` times in a row, [..., count·B, ...], for the axis of the batch."""
    wanted = [*values.shape[:axis], count, *values.shape[axis:]]
    return values.unsqueeze(axis).expand(wanted).flatten(axis, axis + 1)
