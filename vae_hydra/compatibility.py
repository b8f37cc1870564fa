"""Parts of a configuration that do not go together: each check raises ValueError and says what to change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from vae_hydra import checks
from vae_hydra.data import DataModule
from vae_hydra.module import VAEModule
from vae_hydra.noise import Noise
from vae_hydra.vae import VAE

# Weights in half precision (bf16-true) would be too coarse for the densities.
PRECISIONS = ("32-true", "64-true", "16-mixed", "bf16-mixed")
# Enough draws to meet the part of the line where a prior has no density.
KL_DRAWS = 1000


def check_likelihood_fits(module: VAEModule, data: DataModule) -> None:
    """Refuse data outside [0, 1] for a likelihood that is a density there alone."""
    if not module.vae.likelihood.unit_interval:
        return
    low, high = data.full_range()
    if low < 0 or high > 1:
        raise ValueError(
            f"{type(module.vae.likelihood).__name__} needs data in [0, 1], but this dataset spans "
            f"[{low:.3g}, {high:.3g}]; use likelihood=gaussian or likelihood=laplace"
        )


def check_free_bits(module: VAEModule) -> None:
    """Refuse to free a part of a KL that the model has not."""
    if module.objective.free_bits and not module.vae.sampler.has_elbo:
        raise ValueError("objective.free_bits frees part of a KL, and a deterministic sampler has none; leave it at 0")


def check_same_mode(test: Noise, trained: Noise) -> None:
    """Refuse to test on a noise whose channels the encoder does not have."""
    if test.mode != trained.mode:
        raise ValueError(
            f"the run was trained with noise.mode={trained.mode}, so that its encoder cannot take "
            f"noise.mode={test.mode}; add noise.mode={trained.mode}"
        )


def check_trainer_options(options: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Refuse options of the trainer that could not end in a scored run, or do not go with the optimizer."""
    checks.positive_integer("trainer.max_epochs", options.get("max_epochs"))
    checks.one_of("trainer.precision", options.get("precision"), PRECISIONS)
    clipping = options.get("gradient_clip_val")
    if clipping is not None:
        checks.positive("trainer.gradient_clip_val", clipping)
        if str(options["precision"]).endswith("mixed") and config["optimizer"].get("fused"):
            raise ValueError("trainer.gradient_clip_val with a mixed trainer.precision needs optimizer.fused=false")
    if options.get("limit_test_batches") == 0:
        raise ValueError("trainer.limit_test_batches=0 leaves nothing to score a run on")


def check_kl_exists(vae: VAE) -> None:
    """Fail now rather than in the first step if posterior and prior have no KL, closed or estimated."""
    q = vae.sampler(torch.zeros(KL_DRAWS, vae.sampler.parameters_per_latent * vae.latent_dim))
    if not torch.isfinite(vae.sampler.kl_divergence(q, q.sample())).all():
        families = f"KL({type(q).__name__} ‖ {type(vae.sampler.prior()).__name__})"
        raise ValueError(
            f"sampler.prior: {families} is not finite where training starts; choose a prior with a density where "
            "q(z|x) has one, raise sampler.min_concentration or sampler.df where there is one, or use "
            "sampler.kl=monte_carlo"
        )
