"""How little a trained model takes each of some examples for its own data."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_hydra.complexity import compressed_length
from vae_hydra.distributions import parameters, with_parameters
from vae_hydra.marginal import importance_weighted_bound
from vae_hydra.metrics import half_sse
from vae_hydra.module import TEST, VAEModule
from vae_hydra.posteriors import batches
from vae_hydra.randomness import seeded
from vae_hydra.sources import Examples
from vae_hydra.vae import VAEOutput

# Score → heading, in the order they are shown.
SCORES = {
    "half_sse": "half-SSE",
    "negative_log_likelihood": "−log p(x|z)",
    "kl": "KL",
    "negative_elbo": "−ELBO",
    "complexity_corrected": "−ELBO − PNG",
    "nll": "−log p(x)",
}


def check_scorable(module: VAEModule) -> None:
    """Refuse a model that is given the class of what it sees: an outlier has none.

    Raises:
        ValueError: for a run with a condition.
    """
    if module.vae.condition is not None:
        raise ValueError(
            "this run's model is given the class of what it sees, and an outlier has none; use a run of condition=none"
        )


@torch.no_grad()
def outlier_scores(
    module: VAEModule, x: Tensor, limits: tuple[float, float], seed: int = 0, samples: int = 0
) -> dict[str, Tensor]:
    """Scores of examples fed as they are, the higher the less the model takes them for its own data.

    With one z ~ q(z|x) an example, as in all test scores: ``half_sse``, ½·Σ(x̂ − x)² with x̂ = E[x|z];
    ``negative_log_likelihood``, −log p(x|z); ``kl``, KL(q‖p); ``negative_elbo``, their sum; and of images
    ``complexity_corrected``, −ELBO less the length of a PNG, which asks how much better than a compressor the model
    knows an image, up to a constant. With ``samples`` also ``nll``, the bound on −log p(x) by as many importance
    draws. All but the first are nats per example, of densities of values as the model sees them (after
    dataset.transform). Without a posterior density (sampler=deterministic) there are the first two.

    The draws of an example are a function of its values, ``seed`` and the module's seed: other examples and their order
    do not matter. A score that is no number, of an example that the model cannot cope with, is inf.

    Args:
        x: [N, *x_shape], as the model sees them.
        limits: least and greatest value of the run's data.

    Returns:
        name → [N] on the CPU, in the order of ``SCORES``.

    Source of the correction: Serrà et al., "Input complexity and out-of-distribution detection with likelihood-based
    generative models", 2020.
    """
    with seeded(seed, module.device):
        parts = [_of_batch(module, batch, seed, samples) for batch in batches(Examples(x, torch.zeros(len(x))))]
    scores = {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}
    if "negative_elbo" in scores and x.dim() == 4:
        scores["complexity_corrected"] = scores["negative_elbo"] - compressed_length(x, limits)
    return {
        name: scores[name].nan_to_num(nan=math.inf, posinf=math.inf, neginf=-math.inf)
        for name in SCORES
        if name in scores
    }


def _of_batch(module: VAEModule, batch: Examples, seed: int, samples: int) -> dict[str, Tensor]:
    vae, x = module.vae, module.take(batch).x
    inputs = module.noise.clean(x)
    own = [zlib.crc32(example.contiguous().numpy().tobytes()) for example in batch.x]
    q = vae.encode(inputs)
    z = _one_draw_each(module, q, seed, own)
    output = VAEOutput(q, z, vae.decode(z))
    log_likelihood = vae.log_likelihood(output, x)
    scores = {"half_sse": half_sse(output.p.mean, x, len(vae.x_shape)), "negative_log_likelihood": -log_likelihood}
    if vae.sampler.has_elbo:
        kl = vae.kl_divergence(output).sum(-1)
        scores |= {"kl": kl, "negative_elbo": kl - log_likelihood}
    if samples:
        scores["nll"] = -_bounds(module, inputs, x, seed, own, samples)
    return scores


def _one_draw_each(module: VAEModule, q: Distribution, seed: int, own: Sequence[int]) -> Tensor:
    """z [N, L], each drawn after seeding with a number of its example's own."""
    values, draws = parameters(q), []
    for place, number in enumerate(own):
        module.seed_batch(TEST, seed, number)
        draws.append(with_parameters(q, {name: value[place] for name, value in values.items()}).sample())
    return torch.stack(draws)


def _bounds(module: VAEModule, inputs: Tensor, x: Tensor, seed: int, own: Sequence[int], samples: int) -> Tensor:
    bounds = []
    for number, one_input, example in zip(own, inputs.split(1), x.split(1), strict=True):
        module.seed_batch(TEST, seed, number)
        bounds.append(importance_weighted_bound(module.vae, one_input, example, samples))
    return torch.cat(bounds)
