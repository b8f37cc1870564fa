"""Measures of a trained model on request: log p(x), generated examples against real ones, what the codes know."""

from __future__ import annotations

import logging
import math
import zlib
from collections.abc import Iterator

import torch
from torch import Tensor
from tqdm import tqdm

from vae_hydra.analysis.codes import latent_measures
from vae_hydra.analysis.image_classifier import ImageClassifier, features_of
from vae_hydra.analysis.marginal_likelihood import importance_weighted_bound
from vae_hydra.analysis.two_samples import distances, feature_distances, tail_measures
from vae_hydra.data.datamodule import DataModule
from vae_hydra.data.examples import Examples
from vae_hydra.runs.posteriors import BATCH, batches, posteriors
from vae_hydra.training.module import TEST, VAEModule

log = logging.getLogger(__name__)

# Training codes that classifiers of codes learn from.
PROBE_EXAMPLES = 10_000
# Fewer have no tail to speak of.
LEAST_GENERATED = 100


def check_request(module: VAEModule, data: DataModule, nll: int, generation: int, latents: bool) -> None:
    """Refuse, before anything is scored, what this model and these data cannot be asked.

    Raises:
        ValueError: for log p(x) without a density, too few generated examples, or codes that were given the class.
    """
    vae = module.vae
    if nll and not vae.sampler.has_elbo:
        raise ValueError("nll.samples: a run of sampler=deterministic has no posterior density to draw importance from")
    if nll and vae.likelihood.needs_binary_to_be_normalised and not data.is_binary:
        raise ValueError(
            f"nll.samples: {type(vae.likelihood).__name__} is not a normalised density for values between 0 and 1; "
            "train with dataset.binarise=static or dynamic, or with likelihood=continuous_bernoulli"
        )
    if 0 < generation < LEAST_GENERATED:
        raise ValueError(f"generation.samples must be 0 or at least {LEAST_GENERATED}, but got {generation}")
    if latents and vae.condition is not None:
        raise ValueError("latents: the encoder of this run was given the class, so that its codes say nothing about it")


@torch.no_grad()
def marginal_likelihood(module: VAEModule, data: DataModule, split: str, samples: int) -> dict[str, float]:
    """Bound on −log p(x) of the clean examples of a split from ``samples`` importance draws each.

    The density is that of the values before dataset.transform; of a conditional model it is log p(x|y).

    Returns:
        ``marginal/nll``: mean [nats per example], at least −log p(x) in expectation;
        ``marginal/nll_standard_error``: of that mean, over the examples.
    """
    bounds = []
    for number, batch in enumerate(_progress(list(batches(data.prepared(split))), "importance sampling")):
        _seed(module, "marginal", number)
        taken = module.take(batch)
        bound = importance_weighted_bound(module.vae, module.noise.clean(taken.x), taken.x, samples, taken.y)
        bounds.append(bound + data.log_slope(taken.x).flatten(1).sum(1))
    every = torch.cat(bounds).double()
    error = (every.std() / math.sqrt(len(every))).item() if len(every) > 1 else math.inf
    return {"marginal/nll": -every.mean().item(), "marginal/nll_standard_error": error}


@torch.no_grad()
def generation(
    module: VAEModule,
    data: DataModule,
    split: str,
    samples: int,
    permutations: int,
    classifier: ImageClassifier | None = None,
) -> dict[str, float]:
    """``samples`` examples generated from the prior against those of a split; for vectors, their tails too.

    Vectors and binary images are drawn from p(x|z); other images are its mean, as pictures of samples show them.
    Vectors are compared as they were before dataset.transform. A model that generates by class is given the labels of
    the split. Names ending in _floor compare real examples of another split instead of generated ones. With a
    ``classifier``, images are compared by its features as well.

    Returns:
        ``generation/mmd`` and so on, see ``generation.distances`` and ``generation.tail_measures``; ``generation/fid``
        and so on, see ``feature_distances``.
    """
    generator = torch.Generator().manual_seed(module.seed)
    other = "train" if split != "train" else "test"
    real, others = data.shuffled(split, generator), data.shuffled(other, generator, samples)
    are_vectors = len(module.vae.x_shape) == 1
    labels = real.y[torch.arange(samples) % len(real)]
    generated = _generate(module, labels, draw=are_vectors or data.is_binary)
    against, floor = real.x.flatten(1), others.x.flatten(1)
    if are_vectors:
        generated, against, floor = (data.restore(x) for x in (generated, against, floor))
    least = distances(floor, against, permutations, generator)
    measures = distances(generated, against, permutations, generator)
    measures |= {f"{name}_floor": least[name] for name in ("mmd", "sliced_wasserstein")}
    if are_vectors:
        measures |= tail_measures(generated, against, permutations, generator)
    if classifier is not None:
        measures |= _by_features(classifier, generated, floor, real.x, generator)
    return {f"generation/{name}": value for name, value in measures.items()}


def _by_features(
    classifier: ImageClassifier, generated: Tensor, others: Tensor, real: Tensor, generator: torch.Generator
) -> dict[str, float]:
    """Distances of generated and of other real images, as vectors, from real ones: as many of the one as of the other.

    The Fréchet distance depends on how many there are.
    """
    count = min(len(generated), len(others))
    features = features_of(classifier, real)
    measures = []
    for images in (generated[:count], others[:count]):
        given = features_of(classifier, images.unflatten(1, real.shape[1:]))
        measures.append(feature_distances(given, features, generator))
    values, floors = measures
    return {**values, "fid_floor": floors["fid"], "kid_floor": floors["kid"]}


@torch.no_grad()
def latents(module: VAEModule, data: DataModule, split: str) -> dict[str, float]:
    """Accuracy of a nearest-neighbour and a linear classifier on the codes of clean input, silhouette, active units
    (latents whose code varies, not those with a KL).

    The classifiers learn from codes of at most 10,000 training examples and all their labels, whatever the model saw.

    Returns:
        ``latents/knn_accuracy`` and so on, see ``latents.latent_measures``.
    """
    generator = torch.Generator().manual_seed(module.seed)
    train, test = data.shuffled("train", generator, PROBE_EXAMPLES), data.shuffled(split, generator)
    measures = latent_measures(posteriors(module, train).codes, train.y, posteriors(module, test).codes, test.y)
    return {f"latents/{name}": value for name, value in measures.items()}


def _generate(module: VAEModule, y: Tensor, draw: bool) -> Tensor:
    """One example a label (ignored by a model that does not generate by class), as vectors [N, D] on the CPU.

    ``draw``: from p(x|z); otherwise its mean.
    """
    parts = []
    for number, labels in enumerate(y.split(BATCH)):
        _seed(module, "generation", number)
        p = module.vae.decode(module.vae.prior_sample(len(labels)), labels.to(module.device))
        parts.append((p.sample() if draw else p.mean).flatten(1).float().cpu())
    return torch.cat(parts)


def _seed(module: VAEModule, what: str, number: int) -> None:
    module.seed_batch(TEST, zlib.crc32(what.encode()), number)


def _progress(batches: list[Examples], title: str) -> Iterator[Examples]:
    """Go through batches with a bar on a terminal and a line for about every tenth elsewhere."""
    bar = tqdm(batches, desc=title, unit="batch", disable=None)
    for number, batch in enumerate(bar, start=1):
        yield batch
        if bar.disable and number % max(1, len(batches) // 10) == 0:
            log.info("%s: %d of %d batches", title, number, len(batches))
