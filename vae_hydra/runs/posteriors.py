"""Posteriors of examples, their KL, their mean over a class, and a mixture fitted to their draws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor
from torch.distributions import Distribution, biject_to

from vae_hydra.base.randomness import seeded
from vae_hydra.data.examples import Examples
from vae_hydra.distributions import parameters
from vae_hydra.training.module import VAEModule

# Examples encoded at once.
BATCH = 1000


class Posteriors(NamedTuple):
    """q(z|x) of N clean examples, on the CPU in single precision.

    Attributes:
        parameters: name of the family's constructor argument → values [N, L].
        codes: the points that stand for the posteriors, [N, L].
        draws: one draw from each, [N, L].
        y: class labels [N].
    """

    parameters: dict[str, Tensor]
    codes: Tensor
    draws: Tensor
    y: Tensor


@torch.no_grad()
def posteriors(module: VAEModule, examples: Examples, seed: int = 0) -> Posteriors:
    """Posteriors of clean, prepared examples; ``seed`` is the seed of the draws."""
    batched = []
    with seeded(seed, module.device):
        for batch in batches(examples):
            taken = module.take(batch)
            q = module.vae.encode(module.noise.clean(taken.x), taken.y)
            batched.append((parameters(q), module.vae.sampler.code(q), q.sample()))
    values, codes, draws = zip(*batched, strict=True)
    joined = {name: _joined([batch[name] for batch in values]) for name in values[0]}
    return Posteriors(joined, _joined(codes), _joined(draws), examples.y)


@torch.no_grad()
def mean_kl(module: VAEModule, encoded: Posteriors) -> Tensor:
    """Mean KL(q‖p) of each latent over the examples [nats], of shape [L]; [1] where only that of all exists."""
    vae, like = module.vae, next(module.vae.parameters())
    q = vae.sampler.posterior(encoded.parameters)
    return vae.kl_divergence(q, encoded.draws.to(like)).mean(0).float().cpu()


def batches(examples: Examples, size: int = BATCH) -> Iterator[Examples]:
    """Batches of ``size`` examples, in order; the last may be smaller."""
    for start in range(0, len(examples), size):
        yield examples[torch.arange(start, min(start + size, len(examples)))]


def class_embeddings(encoded: Posteriors, classes: int) -> dict[str, Tensor]:
    """Name → mean of a posterior parameter over the examples of each class, [classes, L].

    Raises:
        ValueError: if a class has no examples.
    """
    absent = sorted(set(range(classes)) - set(encoded.y.tolist()))
    if absent:
        raise ValueError(f"a class embedding is a mean over examples, but there are none of {absent}")
    members = [encoded.y == label for label in range(classes)]
    return {name: torch.stack([value[one].mean(0) for one in members]) for name, value in encoded.parameters.items()}


def mixed_embeddings(first: Mapping[str, Tensor], second: Mapping[str, Tensor], weight: float) -> dict[str, Tensor]:
    """(1 − w)·θ₁ + w·θ₂ for every parameter θ of two class embeddings."""
    return {name: torch.lerp(value, second[name], weight) for name, value in first.items()}


class AggregatePosterior:
    """A Gaussian mixture fitted to draws z ~ q(z|x) of training examples.

    It approximates the aggregate posterior (1/N)·Σₙ q(z|xₙ), on which the decoder was trained; the prior may differ
    from it. Positive latents are fitted as ln z, so that draws of the mixture are positive too.

    Args:
        draws: [N, L].
        family: any distribution with the support of the latents.
        components: number of components, at most N.
        seed: seed of the starting point of the fit.
    """

    def __init__(self, draws: Tensor, family: Distribution, components: int, seed: int) -> None:
        self._to_support = biject_to(family.support)
        free = self._to_support.inv(draws.double()).numpy()
        self._mixture = GaussianMixture(min(components, len(free)), random_state=seed, reg_covar=1e-5).fit(free)

    def sample(self, n: int, seed: int, temperature: float = 1.0) -> Tensor:
        """n draws [n, L]; ``temperature`` is a factor on the standard deviations of the components."""
        draws, component = self._mixture.set_params(random_state=seed % 2**32).sample(n)
        means = self._mixture.means_[component]
        # sklearn returns the draws sorted by component.
        free = np.random.default_rng(seed).permutation(means + temperature * (draws - means))
        return self._to_support(torch.from_numpy(free)).float()


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat(tuple(parts)).float().cpu()
