"""The measures that ``evaluate`` computes on request: log p(x), generated against real examples, latent codes."""

from __future__ import annotations

import logging
import math
import zlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from vae_hydra.analysis.codes import latent_measures
from vae_hydra.analysis.image_classifier import ImageClassifier, features_of
from vae_hydra.analysis.kernel_tests import KERNEL_EXAMPLES, linear_mmd_permutation_test
from vae_hydra.analysis.marginal_likelihood import importance_weighted_bound
from vae_hydra.analysis.tail_measures import tail_measures
from vae_hydra.analysis.two_samples import distances, feature_distances
from vae_hydra.data.datamodule import DataModule
from vae_hydra.data.examples import Examples
from vae_hydra.runs.posteriors import BATCH, batches, posteriors
from vae_hydra.training.batch_seeds import TEST
from vae_hydra.training.module import VAEModule

log = logging.getLogger(__name__)

# Training codes that the classifiers of codes learn from.
PROBE_EXAMPLES = 10_000
# Fewer generated examples have too few in their tail.
LEAST_GENERATED = 100
# Endings of measures without a floor: those of the real examples, p values, and intervals.
WITHOUT_FLOOR = ("_real", "_p", "_low", "_high")


def check_request(module: VAEModule, data: DataModule, nll: int, generation: int, latents: bool) -> None:
    """Refuse measures that this model or these data do not have, before anything is scored.

    Raises:
        ValueError: for log p(x) without a density, too few generated examples, or codes of an encoder that is given the
            class.
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
        raise ValueError("latents: this run's encoder is given the class, so its codes need not hold it")


@torch.no_grad()
def marginal_likelihood(module: VAEModule, data: DataModule, split: str, samples: int) -> dict[str, float]:
    """Bound on −log p(x) of the clean examples of a split, from ``samples`` importance draws each.

    The density is of the values before dataset.transform. For a conditional model it is log p(x|y).

    Returns:
        ``marginal/nll``: mean [nats per example], at least −log p(x) in expectation;
        ``marginal/nll_standard_error``: of that mean, over the examples.
    """
    bounds = []
    for number, batch in enumerate(_with_progress(list(batches(data.prepared(split))), "importance sampling")):
        _seed(module, "marginal", number)
        taken = module.take(batch)
        bound = importance_weighted_bound(module.vae, module.noise.clean(taken.x), taken.x, samples, taken.y)
        bounds.append(bound + data.log_slope(taken.x).flatten(1).sum(1))
    joined = torch.cat(bounds).double()
    error = (joined.std() / math.sqrt(len(joined))).item() if len(joined) > 1 else math.inf
    return {"marginal/nll": -joined.mean().item(), "marginal/nll_standard_error": error}


@torch.no_grad()
def generation(
    module: VAEModule,
    data: DataModule,
    split: str,
    samples: int,
    permutations: int,
    classifier: ImageClassifier | None = None,
    kernel_examples: int = KERNEL_EXAMPLES,
    tail_level: float = 0.95,
    tail_threshold: float | None = None,
) -> dict[str, float]:
    """Distances of ``samples`` examples, generated from the prior, to the examples of a split.

    Vectors and binary images are drawn from p(x|z); other images are its mean, as in pictures of samples. Vectors are
    compared in their values before dataset.transform, and their tails as well. A model that generates by class gets the
    labels of the split. Names ending in _floor compare real examples of another split in place of generated ones. With
    a ``classifier``, images are compared on its features as well.

    Args:
        module, data, split: the model, and the examples to compare with.
        samples: number of examples to generate.
        permutations: of the tests.
        classifier: of the images; None for none.
        kernel_examples: examples of each sample in the quadratic MMD, at most.
        tail_level, tail_threshold: where the tail begins, see ``tail_measures``.

    Returns:
        ``generation/mmd`` and so on, see ``two_samples.distances``, ``tail_measures`` and ``feature_distances``;
        of vectors also ``mmd_linear`` and ``mmd_linear_p``, see ``linear_mmd_permutation_test``.
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
    # Distances and their floors are of samples of one size.
    sizes = {"kernel_examples": kernel_examples, "sliced_examples": min(len(floor), len(generated), len(against))}
    floors, measures = (distances(x, against, permutations, generator, **sizes) for x in (floor, generated))
    if are_vectors:
        compare = partial(
            _vector_measures,
            real=against,
            generator=generator,
            kernel_examples=kernel_examples,
            level=tail_level,
            threshold=tail_threshold,
            truth=data.truth,
        )
        measures |= compare(generated, permutations=permutations)
        floors |= compare(floor, permutations=0)
    measures |= {f"{name}_floor": value for name, value in floors.items() if not name.endswith(WITHOUT_FLOOR)}
    if classifier is not None:
        measures |= _feature_measures(classifier, generated, floor, real.x, generator)
    return {f"generation/{name}": value for name, value in measures.items()}


def _vector_measures(
    generated: Tensor, real: Tensor, permutations: int, generator: torch.Generator, **tail: Any
) -> dict[str, float]:
    """``tail_measures``, with its options ``tail``, and MMD in linear time."""
    measures = tail_measures(generated, real, permutations, generator, **tail)
    mmd, p = linear_mmd_permutation_test(generated, real, permutations, generator)
    return {**measures, "mmd_linear": mmd, "mmd_linear_p": p}


def _feature_measures(
    classifier: ImageClassifier, generated: Tensor, others: Tensor, real: Tensor, generator: torch.Generator
) -> dict[str, float]:
    """Feature distances to ``real`` of generated images and, as floors, of other real ones, both flat [N, D].

    FID depends on sample size, so both samples have the same number of images.
    """
    count = min(len(generated), len(others))
    features = features_of(classifier, real)
    measures, floors = (
        feature_distances(features_of(classifier, x[:count].unflatten(1, real.shape[1:])), features, generator)
        for x in (generated, others)
    )
    return {**measures, "fid_floor": floors["fid"], "kid_floor": floors["kid"]}


@torch.no_grad()
def latents(module: VAEModule, data: DataModule, split: str) -> dict[str, float]:
    """Measures of the codes of a split's clean examples.

    The classifiers learn from codes of at most 10,000 training examples with all their labels, even if training used
    few. Active units are counted by the variance of codes, not by the KL.

    Returns:
        ``latents/knn_accuracy`` and so on, see ``codes.latent_measures``.
    """
    generator = torch.Generator().manual_seed(module.seed)
    train, test = data.shuffled("train", generator, PROBE_EXAMPLES), data.shuffled(split, generator)
    measures = latent_measures(posteriors(module, train).codes, train.y, posteriors(module, test).codes, test.y)
    return {f"latents/{name}": value for name, value in measures.items()}


def _generate(module: VAEModule, y: Tensor, draw: bool) -> Tensor:
    """One example per label, flat [N, D] on the CPU: a draw of p(x|z), or its mean without ``draw``.

    Only a model that generates by class reads the labels.
    """
    parts = []
    for number, labels in enumerate(y.split(BATCH)):
        _seed(module, "generation", number)
        p = module.vae.decode(module.vae.prior_sample(len(labels)), labels.to(module.device))
        parts.append((p.sample() if draw else p.mean).flatten(1).float().cpu())
    return torch.cat(parts)


def _seed(module: VAEModule, measure: str, batch: int) -> None:
    module.seed_batch(TEST, zlib.crc32(measure.encode()), batch)


def _with_progress(batches: list[Examples], title: str) -> Iterator[Examples]:
    """The batches, with a bar on a terminal and elsewhere a log line for about every tenth."""
    bar = tqdm(batches, desc=title, unit="batch", disable=None)
    for number, batch in enumerate(bar, start=1):
        yield batch
        if bar.disable and number % max(1, len(batches) // 10) == 0:
            log.info("%s: %d of %d batches", title, number, len(batches))
