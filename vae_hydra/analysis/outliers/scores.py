"""How little a trained model takes each of some examples for its own data."""

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
from vae_hydra.training.metrics import half_sse
from vae_hydra.training.module import TEST, VAEModule

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


class Auroc(NamedTuple):
    """The area under the receiver operating characteristic and its standard error."""

    value: float
    standard_error: float


def auroc(inside: ArrayLike, outside: ArrayLike) -> Auroc:
    """P(s_out > s_in) + ½·P(s_out = s_in): ½ for a score that knows nothing, 1 for one that is always higher outside.

    The standard error is DeLong's, for samples that are independent; it is 0 for samples that do not overlap.

    Args:
        inside: scores [N] of test examples, N ≥ 2; infinite ones count by their order.
        outside: scores [M] of outliers, M ≥ 2.

    Raises:
        ValueError: for a sample of fewer than two, or a score that is no number.

    Source: DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
    characteristic curves", 1988; by ranks as in Sun and Xu, "Fast implementation of DeLong's algorithm", 2014.
    """
    inside, outside = (np.asarray(sample, dtype=np.float64) for sample in (inside, outside))
    n, m = len(inside), len(outside)
    every = np.concatenate([outside, inside])
    if min(n, m) < 2 or np.isnan(every).any():
        raise ValueError(f"an AUROC needs two samples of at least two numbers, but got {n} and {m}, NaN or not")
    ranks = rankdata(every)
    # For every outlier the share of the test examples below it, and for every test example of the outliers above it.
    below = (ranks[:m] - rankdata(outside)) / n
    above = 1 - (ranks[m:] - rankdata(inside)) / m
    variance = below.var(ddof=1) / m + above.var(ddof=1) / n
    return Auroc(float(below.mean()), float(np.sqrt(variance)))


GREYS = 255


def compressed_length(images: Tensor, limits: tuple[float, float]) -> Tensor:
    """Length of each image as a PNG of 256 greys [nats]: 8·ln 2 a byte.

    Args:
        images: [N, C, H, W]; the channels are put under one another.
        limits: values that are black and white; what lies outside is clipped.

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
