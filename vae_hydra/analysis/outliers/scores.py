"""Outlier scores of examples under a trained model, and how well such a score separates two samples (AUROC)."""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from PIL import Image
from scipy.stats import rankdata
from torch import Tensor
from torch.distributions import Distribution

from vae_hydra.analysis.marginal_likelihood import importance_weighted_bound
from vae_hydra.base.randomness import seeded
from vae_hydra.data.examples import Examples
from vae_hydra.distributions import parameters, with_parameters
from vae_hydra.model.vae import VAEOutput
from vae_hydra.runs.posteriors import batches
from vae_hydra.training.batch_seeds import TEST
from vae_hydra.training.metrics import half_sse
from vae_hydra.training.module import VAEModule

# Score → heading, in the order of tables.
SCORES = {
    "half_sse": "half-SSE",
    "negative_log_likelihood": "−log p(x|z)",
    "kl": "KL",
    "negative_elbo": "−ELBO",
    "complexity_corrected": "−ELBO − PNG",
    "nll": "−log p(x)",
}
# Grey level of white.
GREYS = 255


def check_scorable(module: VAEModule) -> None:
    """Refuse a conditional model, because an outlier has no class to give it.

    Raises:
        ValueError: for a run with a condition.
    """
    if module.vae.condition is not None:
        raise ValueError(
            "this run's model is given the class of each example, and an outlier has none; use a run of condition=none"
        )


@torch.no_grad()
def outlier_scores(
    module: VAEModule, x: Tensor, limits: tuple[float, float], seed: int = 0, samples: int = 0
) -> dict[str, Tensor]:
    """Outlier scores of examples, fed without noise: the higher, the less they look like the model's data.

    With one z ~ q(z|x) per example, as in all test scores:

    - ``half_sse``: ½·Σ(x̂ − x)² with x̂ = E[x|z];
    - ``negative_log_likelihood``: −log p(x|z);
    - ``kl``: KL(q‖p);
    - ``negative_elbo``: −log p(x|z) + KL(q‖p);
    - ``complexity_corrected``: −ELBO less the length of the image as a PNG, for images only;
    - ``nll``: the bound on −log p(x) from ``samples`` importance draws, if there are any.

    All but the first are nats per example, for densities of the model's input (after dataset.transform). Without a
    posterior density (sampler=deterministic) only the first two exist.

    The draws for an example depend only on its values, ``seed`` and the module's seed, not on other examples or their
    order. A NaN, from an example that the model cannot handle, becomes inf.

    Args:
        module: a trained model, in evaluation mode.
        x: [N, *x_shape], as the model takes them.
        limits: least and greatest value of the run's data.
        seed: of the draws.
        samples: importance draws per example; 0 for no ``nll``.

    Returns:
        name → [N] on the CPU, in the order of ``SCORES``.

    Source of the correction: Serrà et al., "Input complexity and out-of-distribution detection with likelihood-based
    generative models", 2020.
    """
    with seeded(seed, module.device):
        parts = [_batch_scores(module, batch, seed, samples) for batch in batches(Examples(x, torch.zeros(len(x))))]
    scores = {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}
    if "negative_elbo" in scores and x.dim() == 4:
        scores["complexity_corrected"] = scores["negative_elbo"] - compressed_length(x, limits)
    return {
        name: scores[name].nan_to_num(nan=math.inf, posinf=math.inf, neginf=-math.inf)
        for name in SCORES
        if name in scores
    }


def _batch_scores(module: VAEModule, batch: Examples, seed: int, samples: int) -> dict[str, Tensor]:
    vae, x = module.vae, module.take(batch).x
    inputs = module.noise.clean(x)
    hashes = [zlib.crc32(example.contiguous().numpy().tobytes()) for example in batch.x]
    q = vae.encode(inputs)
    z = _draws(module, q, seed, hashes)
    output = VAEOutput(q, z, vae.decode(z))
    log_likelihood = vae.log_likelihood(output, x)
    scores = {"half_sse": half_sse(output.p.mean, x, len(vae.x_shape)), "negative_log_likelihood": -log_likelihood}
    if vae.sampler.has_elbo:
        kl = vae.kl_divergence(output.q, output.z).sum(-1)
        scores |= {"kl": kl, "negative_elbo": kl - log_likelihood}
    if samples:
        scores["nll"] = -_bounds(module, inputs, x, seed, hashes, samples)
    return scores


def _draws(module: VAEModule, q: Distribution, seed: int, hashes: Sequence[int]) -> Tensor:
    """z [N, L] ~ q, each drawn after seeding with the hash of its example."""
    values, draws = parameters(q), []
    for row, number in enumerate(hashes):
        module.seed_batch(TEST, seed, number)
        draws.append(with_parameters(q, {name: value[row] for name, value in values.items()}).sample())
    return torch.stack(draws)


def _bounds(module: VAEModule, inputs: Tensor, x: Tensor, seed: int, hashes: Sequence[int], samples: int) -> Tensor:
    """Importance-weighted bounds [N], each drawn after seeding with the hash of its example."""
    bounds = []
    for number, encoder_input, example in zip(hashes, inputs.split(1), x.split(1), strict=True):
        module.seed_batch(TEST, seed, number)
        bounds.append(importance_weighted_bound(module.vae, encoder_input, example, samples))
    return torch.cat(bounds)


def compressed_length(images: Tensor, limits: tuple[float, float]) -> Tensor:
    """Length of each image as a PNG of 256 greys [nats]: 8·ln 2 per byte.

    Args:
        images: [N, C, H, W]; channels are stacked vertically.
        limits: the values of black and of white; values outside are clipped.

    Returns:
        [N], on the CPU in single precision.
    """
    low, high = limits
    levels = ((images - low) / max(high - low, 1e-6)).clamp(0, 1).mul(GREYS).round().byte().flatten(1, 2).cpu().numpy()
    return torch.tensor([len(_png(Image.fromarray(image))) * 8 * math.log(2) for image in levels])


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "png", optimize=True)
    return file.getvalue()


class Auroc(NamedTuple):
    """The area under the receiver operating characteristic and its standard error."""

    value: float
    standard_error: float


def auroc(inside: ArrayLike, outside: ArrayLike) -> Auroc:
    """P(s_out > s_in) + ½·P(s_out = s_in): ½ for a useless score, 1 for one that is always higher outside.

    The standard error is DeLong's, for independent samples; it is 0 for samples that do not overlap.

    Args:
        inside: scores [N] of test examples, N ≥ 2; infinite scores count by their order.
        outside: scores [M] of outliers, M ≥ 2.

    Raises:
        ValueError: for a sample of fewer than two scores, or a NaN.

    Source: DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
    characteristic curves", 1988; by ranks as in Sun and Xu, "Fast implementation of DeLong's algorithm", 2014.
    """
    inside, outside = (np.asarray(sample, dtype=np.float64) for sample in (inside, outside))
    n, m = len(inside), len(outside)
    pooled = np.concatenate([outside, inside])
    if min(n, m) < 2 or np.isnan(pooled).any():
        raise ValueError(f"an AUROC needs two samples of at least two numbers, but got {n} and {m}, NaN or not")
    ranks = rankdata(pooled)
    # For each outlier the share of test examples below it; for each test example the share of outliers above it.
    below = (ranks[:m] - rankdata(outside)) / n
    above = 1 - (ranks[m:] - rankdata(inside)) / m
    variance = below.var(ddof=1) / m + above.var(ddof=1) / n
    return Auroc(float(below.mean()), float(np.sqrt(variance)))
