"""Posteriors of a split's examples, their mean over a class, and the mixture of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
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
        parameters: name, as the family's constructor has it → values [N, L].
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
    """Encode clean examples, as the model sees them; ``seed`` is that of the draws."""
    parts = []
    with seeded(seed, module.device):
        for batch in batches(examples):
            taken = module.take(batch)
            q = module.vae.encode(module.noise.clean(taken.x), taken.y)
            parts.append((parameters(q), module.vae.sampler.code(q), q.sample()))
    names = parts[0][0]
    return Posteriors(
        {name: _joined([part[0][name] for part in parts]) for name in names},
        _joined([part[1] for part in parts]),
        _joined([part[2] for part in parts]),
        examples.y,
    )


def batches(examples: Examples, size: int = BATCH) -> Iterator[Examples]:
    """The examples in their order, ``size`` at a time."""
    for start in range(0, len(examples), size):
        yield examples[torch.arange(start, min(start + size, len(examples)))]


def class_embeddings(encoded: Posteriors, classes: int) -> dict[str, Tensor]:
    """The mean of every parameter of the posteriors over the examples of each class: name → [classes, L].

    Raises:
        ValueError: if a class has no examples.
    """
    absent = sorted(set(range(classes)) - set(encoded.y.tolist()))
    if absent:
        raise ValueError(f"a class embedding is a mean over examples, but there are none of {absent}")
    chosen = [encoded.y == label for label in range(classes)]
    return {name: torch.stack([value[of].mean(0) for of in chosen]) for name, value in encoded.parameters.items()}


def mixed_embeddings(first: Mapping[str, Tensor], second: Mapping[str, Tensor], weight: float) -> dict[str, Tensor]:
    """(1 − w)·θ₁ + w·θ₂ of every parameter θ: at w = 0 the first class's embedding, at w = 1 the second's."""
    return {name: torch.lerp(value, second[name], weight) for name, value in first.items()}


class AggregatePosterior:
    """A Gaussian mixture fitted to draws z ~ q(z|x) of training examples, of which new z can be drawn.

    It approximates the aggregate posterior (1/N)·Σₙ q(z|xₙ), which decoders were trained on, and which the prior need
    not match. Latents that are positive are fitted as ln z, so that its draws are positive too.

    Args:
        draws: [N, L].
        family: any distribution of the latents' support.
        components: of the mixture; fewer if there are not as many draws.
        seed: of where the fit starts.
    """

    def __init__(self, draws: Tensor, family: Distribution, components: int, seed: int) -> None:
        from sklearn.mixture import GaussianMixture

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


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts).float().cpu()
