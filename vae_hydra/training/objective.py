"""The loss of training, from per-example terms in nats."""

from __future__ import annotations

import torch
from torch import Tensor

from vae_hydra.base import checks

KL_REDUCTIONS = ("sum", "mean")
BOUNDS = ("elbo", "iwae", "dreg")


class Objective:
    """−log p(x|z) + β·KL per example [nats], or a bound from several draws.

    Args:
        kl_reduction: ``sum`` over the latents, for the negative ELBO at β = 1, or ``mean``, which
            makes β effectively L times smaller.
        normalise: whether to divide by 1 + β.
        free_bits: KL [nats] below which a latent's batch mean has no gradient; 0 for none.
        bound: ``elbo`` for the above; ``iwae`` or ``dreg`` for ``importance_weighted_loss``, the latter with the doubly
            reparameterised gradient. These take none of the options above.
        draws: draws of z for each example in such a bound.

    ``free_bits`` is λ of Σ_j max(λ, mean over the batch of KL_j): Kingma, Salimans, Jozefowicz, Chen, Sutskever
    and Welling, "Improving variational inference with inverse autoregressive flow", 2016.

    HeavyTailed-VAE's published results use ``normalise`` and, for Inverse Gaussian latents, ``kl_reduction=mean``;
    both options reproduce them.

    >>> Objective()(torch.tensor([-3.0, -5.0]), torch.tensor([[1.0, 2.0], [0.0, 4.0]]), beta=0.5)
    tensor([4.5000, 7.0000])
    """

    def __init__(
        self,
        kl_reduction: str = "sum",
        normalise: bool = False,
        free_bits: float = 0.0,
        bound: str = "elbo",
        draws: int = 1,
    ) -> None:
        self.kl_reduction = checks.one_of("objective.kl_reduction", kl_reduction, KL_REDUCTIONS)
        self.normalise = checks.boolean("objective.normalise", normalise)
        self.free_bits = checks.non_negative("objective.free_bits", free_bits)
        self.bound = checks.one_of("objective.bound", bound, BOUNDS)
        self.draws = checks.positive_integer("objective.draws", draws)
        if self.is_elbo and draws > 1:
            raise ValueError(f"objective.draws={draws} needs objective=iwae or dreg; the ELBO takes one draw")
        if not self.is_elbo and (kl_reduction != "sum" or normalise or free_bits):
            raise ValueError(
                f"objective={bound} takes neither kl_reduction=mean, normalise nor free_bits: it has no KL of its own"
            )

    @property
    def is_elbo(self) -> bool:
        """Whether the loss comes from one draw and the KL."""
        return self.bound == "elbo"

    def __call__(self, log_likelihood: Tensor, kl: Tensor, beta: float | Tensor) -> Tensor:
        """Per-example loss of shape [...] from log p(x|z) [...] and KL per latent [..., L].

        With ``free_bits``, the last leading dimension is the batch; without one, each example is a batch.
        """
        # Not with 0 free bits: max(0, ·) would hide a negative estimate of a KL.
        if self.free_bits > 0:
            kl = self._free(kl)
        total = kl.sum(-1) if self.kl_reduction == "sum" else kl.mean(-1)
        loss = beta * total - log_likelihood
        return loss / (1 + beta) if self.normalise else loss

    def _free(self, kl: Tensor) -> Tensor:
        """Replace the KL of latents with a batch mean below λ by λ, which has no gradient."""
        mean = kl.mean(-2, keepdim=True) if kl.dim() > 1 else kl
        return torch.where(mean < self.free_bits, self.free_bits, kl)
