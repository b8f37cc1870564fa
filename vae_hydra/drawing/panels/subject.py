"""A run as its figures show it: the trained model, its history, and test examples through it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_hydra.base.randomness import seeded
from vae_hydra.data.examples import Examples
from vae_hydra.distributions import drawn_marginals, marginals
from vae_hydra.drawing.plots.names import latent_name
from vae_hydra.runs.posteriors import Posteriors
from vae_hydra.runs.trained import TrainedModel, visible_input
from vae_hydra.training.batch_seeds import TEST
from vae_hydra.training.history import Row
from vae_hydra.training.module import VAEModule

# Points of a cloud of vectors.
POINTS = 2000
# Latents in one figure at most: those with the most KL.
LATENTS = 10


@contextmanager
def evaluating(module: VAEModule, seed: int) -> Iterator[None]:
    """Evaluate the model with draws of ``seed``; training goes on as if nothing had happened."""
    was_training = module.training
    module.eval()
    try:
        with seeded(seed, module.device), torch.no_grad():
            yield
    finally:
        module.train(was_training)


class DoesNotApply(Exception):
    """A figure that does not apply to this run; the message is the reason, to follow the figure's name."""


class ShownExamples(NamedTuple):
    """Test examples, the model's inputs and its reconstructions: [N, *x_shape] each, labels [N].

    Of stacked noise, ``noisy`` is one of its channels [N, 1, H, W]; without noise it and ``denoised`` are None.
    """

    original: Tensor
    labels: Tensor
    reconstruction: Tensor
    noisy: Tensor | None
    denoised: Tensor | None


@dataclass
class Subject(TrainedModel):
    """A run as its figures show it.

    Attributes:
        history: rows of its metrics.csv.
        folder: the folder of its figures, with the samples of epochs.
        seed: seed of the draws of a figure, and of the examples in it. Which latents it shows does not depend on it.
        samples: number of samples from the prior.
        plane: projection of codes of more than two latents, one of ``clouds.PLANES``.
    """

    history: Sequence[Row]
    folder: Path
    seed: int
    samples: int = 64
    plane: str = "pca"

    @property
    def generator(self) -> torch.Generator:
        """A generator for the choice of examples: figures that ask for the same number show the same ones."""
        return torch.Generator().manual_seed(self.seed)

    @cached_property
    def shown(self) -> ShownExamples:
        """One test image of each class, or a cloud of test points, through the model."""
        with evaluating(self.module, self.seed):
            return _shown(self)

    def examples(self, limit: int) -> Examples:
        """Test examples in an order of the seed."""
        return self.data.shuffled("test", self.generator, limit)

    @property
    def family(self) -> type[Distribution]:
        """The family of q(z|x)."""
        one = {name: value[:1] for name, value in self.encoded.parameters.items()}
        return type(self.module.vae.sampler.posterior(one))

    def posterior(self, encoded: Posteriors, example: int, latent: int) -> Distribution:
        """q(z|x) of one latent of an encoded example, on the CPU; where latents depend on one another, its marginal."""
        sampler = self.module.vae.sampler
        if sampler.is_joint:
            values = {name: value[example] for name, value in encoded.parameters.items()}
            return drawn_marginals(sampler.posterior(values)).of(latent)
        values = {name: value[example, latent] for name, value in encoded.parameters.items()}
        return marginals(sampler.posterior(values))

    def latent_title(self, latent: int) -> str:
        """Name and KL of a latent."""
        return latent_name(latent) + (f"  {self.kl[latent]:.2f} nats" if self.has_kl_per_latent else "")

    def choice(self, latents: Sequence[int]) -> str:
        """How a figure chose its latents; empty if it shows all."""
        if len(latents) == self.latent_dim:
            return ""
        reason = "with the most KL" if self.has_kl_per_latent else "whose codes vary most"
        return f"the {len(latents)} of {self.latent_dim} latents {reason}"


def _shown(subject: Subject) -> ShownExamples:
    module, data = subject.module, subject.data
    taken = module.take(data.one_of_each_class("test") if subject.are_images else subject.examples(POINTS))

    def reconstruct(inputs: Tensor) -> Tensor:
        return module.vae(inputs, taken.y).p.mean

    reconstruction = reconstruct(module.noise.clean(taken.x))
    if module.noise.is_none:
        return ShownExamples(taken.x, taken.y, reconstruction, None, None)
    # Seeded anew: the number of draws until here depends on the sampler, and all samplers get the same noise.
    module.seed_batch(TEST, zlib.crc32(b"figures"), 0)
    noisy = module.noise(taken.x)
    return ShownExamples(taken.x, taken.y, reconstruction, visible_input(noisy, taken.x), reconstruct(noisy))
