"""What training minimises, from the per-example terms in nats."""

from __future__ import annotations

import torch
from torch import Tensor

from vae_hydra.base import checks

KL_REDUCTIONS = ("sum", "mean")


class Objective:
    """−log p(x|z) + β·KL per example [nats].

    Args:
        kl_reduction: ``sum`` over the latents, which makes the negative ELBO at β = 1, or ``mean``, which
            makes β effectively L times smaller.
        normalise: divide by 1 + β.
        free_bits: KL [nats] below which the batch's mean of a latent is neither rewarded nor punished; 0 for none.

    ``free_bits`` is λ of Σ_j max(λ, mean over the batch of KL_j): Kingma, Salimans, Jozefowicz, Chen, Sutskever
    and Welling, "Improving variational inference with inverse autoregressive flow", 2016.

    HeavyTailed-VAE publishes figures made with ``normalise`` and, for Inverse Gaussian latents,
    ``kl_reduction=mean``; both are here to reproduce them.
    """

    def __init__(self, kl_reduction: str = "sum", normalise: bool = False, free_bits: float = 0.0) -> None:
        self.kl_reduction = checks.one_of("objective.kl_reduction", kl_reduction, KL_REDUCTIONS)
        self.normalise = checks.boolean("objective.normalise", normalise)
        self.free_bits = checks.non_negative("objective.free_bits", free_bits)

    def __call__(self, log_likelihood: Tensor, kl: Tensor, beta: float) -> Tensor:
        """Per-example loss of shape [...] from log p(x|z) [...] and KL per latent [..., L].

        With ``free_bits``, the last of the leading dimensions is the batch; without any, an example is its own.
        """
        # An estimate of a KL can be negative, which max(0, ·) would hide.
        if self.free_bits > 0:
            kl = self._free(kl)
        total = kl.sum(-1) if self.kl_reduction == "sum" else kl.mean(-1)
        loss = beta * total - log_likelihood
        return loss / (1 + beta) if self.normalise else loss

    def _free(self, kl: Tensor) -> Tensor:
        """λ, which has no gradient, for latents whose mean over the batch is below it; the others' own KL."""
        mean = kl.mean(-2, keepdim=True) if kl.dim() > 1 else kl
        return torch.where(mean < self.free_bits, self.free_bits, kl)
