"""What training minimises, from the per-example terms in nats."""

from __future__ import annotations

from torch import Tensor

from vae_hydra import checks

KL_REDUCTIONS = ("sum", "mean")


class Objective:
    """−log p(x|z) + β·KL per example [nats].

    Args:
        kl_reduction: ``sum`` over the latents, which makes the negative ELBO at β = 1, or ``mean``, which
            makes β effectively L times smaller.
        normalise: divide by 1 + β.

    HeavyTailed-VAE publishes figures made with ``normalise`` and, for Inverse Gaussian latents,
    ``kl_reduction=mean``; both are here to reproduce them.
    """

    def __init__(self, kl_reduction: str = "sum", normalise: bool = False) -> None:
        self.kl_reduction = checks.one_of("objective.kl_reduction", kl_reduction, KL_REDUCTIONS)
        self.normalise = checks.boolean("objective.normalise", normalise)

    def __call__(self, log_likelihood: Tensor, kl: Tensor, beta: float) -> Tensor:
        """Per-example loss of shape [...] from log p(x|z) [...] and KL per latent [..., L]."""
        total = kl.sum(-1) if self.kl_reduction == "sum" else kl.mean(-1)
        loss = beta * total - log_likelihood
        return loss / (1 + beta) if self.normalise else loss
