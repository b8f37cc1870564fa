"""Checks that the parts of a configuration fit together: each raises ValueError with a remedy."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_hydra.base import checks
from vae_hydra.data.datamodule import DataModule
from vae_hydra.data.noise import Noise
from vae_hydra.distributions import Mixture
from vae_hydra.model.vae import VAE
from vae_hydra.training.module import VAEModule

log = logging.getLogger(__name__)

# Not bf16-true: weights in half precision are too coarse for the densities.
PRECISIONS = ("32-true", "64-true", "16-mixed", "bf16-mixed")
# Lengths of schedules [epochs] in torch.optim.lr_scheduler.
LENGTHS = ("T_max", "step_size", "T_0", "T_mult", "total_iters")
# Non-negative numbers of optimizers in torch.optim.
NOT_NEGATIVE = ("eps", "weight_decay", "momentum")
# Enough draws to meet values at which a prior has no density.
KL_DRAWS = 1000


def check_likelihood_fits(module: VAEModule, data: DataModule) -> None:
    """Refuse data outside the values for which the likelihood is a density: [0, 1], or x > 0."""
    likelihood = module.vae.likelihood
    if not likelihood.unit_interval and not likelihood.positive_only:
        return
    low, high = data.full_range()
    spans = f"but this dataset spans [{low:.3g}, {high:.3g}]"
    if likelihood.unit_interval and (low < 0 or high > 1):
        raise ValueError(
            f"{type(likelihood).__name__} needs data in [0, 1], {spans}; use likelihood=gaussian or likelihood=laplace"
        )
    if likelihood.positive_only and low <= 0:
        raise ValueError(
            f"{type(likelihood).__name__} needs data > 0, {spans}; use a likelihood of all numbers, such as "
            "likelihood=student_t, or dataset.scaling=none and dataset.transform=exp"
        )


def check_objective(module: VAEModule) -> None:
    """Refuse a model that lacks what the loss needs, such as a KL, the density of q(z|x), or a family of p(x|z)."""
    module.objective.check(module.vae)


def check_same_mode(test: Noise, trained: Noise) -> None:
    """Refuse to test on a noise whose channels do not fit the encoder."""
    if test.mode != trained.mode:
        raise ValueError(
            f"the run was trained with noise.mode={trained.mode}, so its encoder cannot take "
            f"noise.mode={test.mode}; add noise.mode={trained.mode}"
        )


def check_enough_examples(data: DataModule) -> None:
    """Refuse fewer training examples than classes, or than two; warn of fewer than a batch."""
    count, least = len(data.splits["train"]), max(2, data.classes)
    if count < least:
        raise ValueError(
            f"dataset.fraction and dataset.validation leave {count} for training, but at least {least} examples are "
            "needed: two, and one a class; use a larger dataset.fraction or a smaller dataset.validation"
        )
    if count < data.batch_size:
        log.warning("%d training examples are fewer than a batch of dataset.batch_size=%d", count, data.batch_size)


def check_optimizer_options(options: Mapping[str, Any]) -> None:
    """Refuse numbers out of range, and a learning rate of 0."""
    if options.get("lr") is not None:
        checks.positive("optimizer.lr", options["lr"])
    for name in NOT_NEGATIVE:
        if options.get(name) is not None:
            checks.non_negative(f"optimizer.{name}", options[name])
    betas = options.get("betas")
    if betas is None:
        return
    # Optimizers of other packages may have three betas.
    are_two = not str(options.get("_target_")).startswith("torch.optim.") or (
        isinstance(betas, (list, tuple)) and len(betas) == 2
    )
    if not isinstance(betas, (list, tuple)) or not are_two:
        raise ValueError(f"optimizer.betas must be a list of two numbers in [0, 1), but got {betas!r}")
    for number, beta in enumerate(betas):
        checks.share(f"optimizer.betas[{number}]", beta)


def check_scheduler_options(options: Mapping[str, Any]) -> None:
    """Refuse lengths of a schedule that are not positive; torch does not check them."""
    for name in LENGTHS:
        if options.get(name) is not None:
            checks.positive(f"scheduler.{name}", options[name])


def warn_of_busy_cores(devices: int, processor: str) -> None:
    """Warn if more processes than cores train on the CPU."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if processor == "cpu" and devices > cores:
        log.warning("trainer.devices=%d starts as many processes, but the CPU has %d cores for them", devices, cores)


def warn_of_slow_options(config: Mapping[str, Any], processor: str) -> None:
    """Warn of options that make training slower on this CPU; docs/results.md has the measurements."""
    precision = str(config["trainer"]["precision"])
    if processor == "cpu" and precision.startswith("bf16") and _lacks_bfloat16():
        log.warning(
            "trainer.precision=%s was 12 to 20 times slower than 32-true on a CPU without bfloat16 arithmetic (AMX or "
            "AVX512-BF16), and this CPU has none",
            precision,
        )
    if processor == "cpu" and config.get("compile"):
        log.warning("compile=true is for GPUs: it takes half a minute at the start, and rarely pays on a CPU")


def _lacks_bfloat16() -> bool:
    """Whether torch says that this CPU does not multiply bfloat16 matrices itself; torch 2.10 does not say."""
    return hasattr(torch.cpu, "get_capabilities") and not has_bfloat16(torch.cpu.get_capabilities())


def has_bfloat16(capabilities: Mapping[str, Any]) -> bool:
    """Whether a CPU multiplies bfloat16 matrices itself, from ``torch.cpu.get_capabilities()``."""
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))


def check_trainer_options(options: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Refuse options of the trainer that exclude a scored run, or that do not fit the optimizer."""
    checks.positive_integer("trainer.max_epochs", options.get("max_epochs"))
    checks.one_of("trainer.precision", options.get("precision"), PRECISIONS)
    clipping = options.get("gradient_clip_val")
    if clipping is not None:
        checks.positive("trainer.gradient_clip_val", clipping)
        if str(options["precision"]).endswith("mixed") and config["optimizer"].get("fused"):
            raise ValueError("trainer.gradient_clip_val with a mixed trainer.precision needs optimizer.fused=false")
    if "use_distributed_sampler" in options:
        raise ValueError("trainer.use_distributed_sampler has no use: each device takes its rows of every batch")
    if options.get("limit_test_batches") == 0:
        raise ValueError("trainer.limit_test_batches=0 leaves nothing to score a run on")


def check_radius_is_positive(vae: VAE) -> None:
    """Refuse a likelihood or a decoder that takes the first latent as a radius where that latent may be negative."""
    parts = {"likelihood=radius_angle": vae.likelihood, "model=mlp_radial": vae.decoder}
    asking = [option for option, part in parts.items() if getattr(part, "needs_positive_radius", False)]
    if not asking:
        return
    q = vae.sampler(torch.zeros(KL_DRAWS, vae.sampler.feature_count(vae.latent_dim)))
    if (vae.draw(q)[..., 0] <= 0).any():
        raise ValueError(
            f"{asking[0]} takes the first latent as a radius > 0; use sampler=radius_angle, or another sampler of "
            "positive latents, such as sampler=inverse_gaussian"
        )


def check_kl_exists(vae: VAE) -> None:
    """Refuse a posterior and a prior without a KL, closed or estimated, before the first step."""
    with torch.no_grad():
        q = vae.sampler(torch.zeros(KL_DRAWS, vae.sampler.feature_count(vae.latent_dim)))
        z = q.sample()
        kl = vae.kl_divergence(q, z)
    prior = vae.prior_distribution()
    if not kl.isfinite().all():
        families = f"KL({type(q).__name__} ‖ {type(prior).__name__})"
        raise ValueError(
            f"sampler.prior: {families} is not finite where training starts; choose a prior with a density where "
            "q(z|x) has one, raise sampler.min_concentration or sampler.df where there is one, or use "
            "sampler.kl=monte_carlo"
        )
    # Without checks of its argument, a density may be finite where it is 0.
    if not _has_density(prior, z):
        raise ValueError(
            f"sampler.prior: {type(prior).__name__} has no density where latents of {type(q).__name__} lie, so their "
            "KL is infinite; choose a prior with a density on all of them"
        )


def _has_density(prior: Distribution, z: Tensor) -> bool:
    """Whether all of z lies where the prior has a density; true where the prior does not say."""
    try:
        support = prior.support
    except NotImplementedError:
        support = None
    # Each component of a mixture has the same support.
    values = z.unsqueeze(-2) if isinstance(prior, Mixture) else z
    return support is None or (not support.is_discrete and bool(support.check(values).all()))
