"""The loss of training, from one pass of a batch: what every objective is, and the negative ELBO."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from vae_hydra.base import checks
from vae_hydra.base.shares import batch_mean
from vae_hydra.model.vae import VAE, VAEOutput

KL_REDUCTIONS = ("sum", "mean")


class Pass(NamedTuple):
    """One pass of a batch through a model.

    Attributes:
        x: clean examples [..., B, *x_shape].
        y: labels [..., B]; None without.
        output: q(z|x), a draw of z, and p(x|z).
        log_likelihood: log p(x|z) of each example [nats], [..., B].
        kl: KL(q‖p) of each example and latent [nats], [..., B, L]; of all latents together, [..., B, 1].
    """

    x: Tensor
    y: Tensor | None
    output: VAEOutput
    log_likelihood: Tensor
    kl: Tensor


class Objective(ABC):
    """The loss of each example, from a model and a pass of a batch through it.

    Attributes:
        passes: how often it decodes an example, the given pass included.
    """

    passes = 1

    @abstractmethod
    def check(self, vae: VAE) -> None:
        """Raise ValueError, with a remedy, if the model lacks what the loss needs."""

    @abstractmethod
    def __call__(self, vae: VAE, passed: Pass, beta: float | Tensor) -> Tensor:
        """Loss of each example, [..., B]; ``beta`` is the weight of its KL, or of the term in the KL's place."""


class ELBO(Objective):
    """−log p(x|z) + β·KL per example [nats].

    Args:
        kl_reduction: ``sum`` over the latents, for the negative ELBO at β = 1, or ``mean``, which
            makes β effectively L times smaller.
        normalise: whether to divide by 1 + β.
        free_bits: KL [nats] below which a latent's batch mean has no gradient; 0 for none. Where
            latents have one KL together, that of all.

    ``free_bits`` is λ of Σ_j max(λ, mean over the batch of KL_j): Kingma, Salimans, Jozefowicz, Chen, Sutskever
    and Welling, "Improving variational inference with inverse autoregressive flow", 2016.

    HeavyTailed-VAE's published results use ``normalise`` and, for Inverse Gaussian latents, ``kl_reduction=mean``;
    both options reproduce them.

    >>> ELBO().combined(torch.tensor([3.0, 5.0]), torch.tensor([[1.0, 2.0], [0.0, 4.0]]), beta=0.5)
    tensor([4.5000, 7.0000])
    """

    def __init__(self, kl_reduction: str = "sum", normalise: bool = False, free_bits: float = 0.0) -> None:
        self.kl_reduction = checks.one_of("objective.kl_reduction", kl_reduction, KL_REDUCTIONS)
        self.normalise = checks.boolean("objective.normalise", normalise)
        self.free_bits = checks.non_negative("objective.free_bits", free_bits)

    def check(self, vae: VAE) -> None:
        if self.free_bits and not vae.sampler.has_elbo:
            raise ValueError(
                "objective.free_bits frees part of a KL, and a deterministic sampler has none; leave it at 0"
            )
        if self.kl_reduction == "mean" and vae.kl_terms < vae.latent_dim:
            raise ValueError(
                "objective.kl_reduction=mean is over the latents, but posterior or prior of this model are of all "
                "latents together, which have one KL; use kl_reduction=sum"
            )

    def __call__(self, vae: VAE, passed: Pass, beta: float | Tensor) -> Tensor:
        return self.combined(self.reconstruction(vae, passed), passed.kl, beta)

    def reconstruction(self, vae: VAE, passed: Pass) -> Tensor:
        """Cost of x given z of each example, [..., B]: −log p(x|z) [nats]."""
        return -passed.log_likelihood

    def combined(self, reconstruction: Tensor, kl: Tensor, beta: float | Tensor) -> Tensor:
        """Loss of shape [...] from a cost of shape [...] and KL per latent [..., L].

        With ``free_bits``, the last leading dimension is the batch; without one, each example is a batch.
        """
        # Not with 0 free bits: max(0, ·) would hide a negative estimate of a KL.
        if self.free_bits > 0:
            kl = self._free(kl)
        total = kl.sum(-1) if self.kl_reduction == "sum" else kl.mean(-1)
        loss = beta * total + reconstruction
        return loss / (1 + beta) if self.normalise else loss

    def _free(self, kl: Tensor) -> Tensor:
        """Replace the KL of latents with a batch mean below λ by λ, which has no gradient."""
        mean = batch_mean(kl.detach()) if kl.dim() > 1 else kl
        return torch.where(mean < self.free_bits, self.free_bits, kl)
