"""What figures are drawn of: a model, its data and its history, and what several figures compute of them once."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_hydra.base.randomness import seeded
from vae_hydra.data.datamodule import DataModule
from vae_hydra.data.examples import Examples
from vae_hydra.distributions import parameters, quantile, with_parameters
from vae_hydra.runs.posteriors import Posteriors, posteriors
from vae_hydra.training.history import Row
from vae_hydra.training.module import TEST, VAEModule

# Vector data are shown as clouds of this many points, codes as one of this many.
POINTS, CODES = 2000, 5000
# Of more latents the most informative ones are shown.
LATENTS = 10


@contextmanager
def looking(module: VAEModule, seed: int) -> Iterator[None]:
    """Draw by ``seed``, with the model as it is evaluated, and leave no trace of it in training."""
    was_training = module.training
    module.eval()
    try:
        with seeded(seed, module.device), torch.no_grad():
            yield
    finally:
        module.train(was_training)


class DoesNotApply(Exception):
    """A figure that this run has not; the message says why, to go on after the figure's name."""


class Shown(NamedTuple):
    """Test examples as a model is fed them and gives them back: [N, *x_shape] each, labels [N].

    Where noise is stacked, ``noisy`` is one of its channels [N, 1, H, W]; without noise it and ``denoised`` are None.
    """

    original: Tensor
    labels: Tensor
    reconstruction: Tensor
    noisy: Tensor | None
    denoised: Tensor | None


@dataclass
class Subject:
    """A run as figures are drawn of it.

    Attributes:
        module: the model, on any device.
        data: what it was trained on.
        history: rows of its metrics.csv.
        folder: its figures, where the samples of epochs are kept.
        seed: of everything that a figure draws.
        samples: number of samples of the prior.
        plane: how codes of more than two latents are brought into a plane.
    """

    module: VAEModule
    data: DataModule
    history: Sequence[Row]
    folder: Path
    seed: int
    samples: int = 64
    plane: str = "pca"

    @property
    def are_images(self) -> bool:
        """Whether examples are images, rather than vectors."""
        return len(self.module.vae.x_shape) == 3

    @property
    def generator(self) -> torch.Generator:
        """For the choice of examples: the same ones in every figure that asks for the same."""
        return torch.Generator().manual_seed(self.seed)

    @cached_property
    def shown(self) -> Shown:
        """One test image of each class, or a cloud of test points, through the model."""
        with looking(self.module, self.seed):
            return _shown(self)

    @cached_property
    def encoded(self) -> Posteriors:
        """Posteriors of test examples in random order."""
        return posteriors(self.module, self.examples(CODES), self.seed)

    @cached_property
    def kl(self) -> Tensor:
        """Mean KL(q‖p) over the encoded examples [nats], of shape [L]."""
        sampler, like = self.module.vae.sampler, next(self.module.vae.parameters())
        values = {name: value.to(like) for name, value in self.encoded.parameters.items()}
        with torch.no_grad():
            return sampler.kl_divergence(sampler.posterior(values), self.encoded.draws.to(like)).mean(0).float().cpu()

    @cached_property
    def order(self) -> list[int]:
        """All latents, the one with the most KL first; without a KL, the one whose code varies most."""
        worth = self.kl if self.has_kl else self.encoded.codes.var(0)
        return worth.argsort(descending=True, stable=True).tolist()

    def described(self, latent: int) -> str:
        """Its name and what it is worth."""
        return latent_name(latent) + (f"  {self.kl[latent]:.2f} nats" if self.has_kl else "")

    def which(self, latents: Sequence[int]) -> str:
        """How the latents that are shown were chosen; empty if they are all."""
        if len(latents) == self.module.vae.latent_dim:
            return ""
        reason = "with the most KL" if self.has_kl else "whose codes vary most"
        return f"the {len(latents)} of {self.module.vae.latent_dim} latents {reason}"

    @property
    def has_kl(self) -> bool:
        """Whether posteriors are distributions that are held against the prior."""
        return self.module.vae.sampler.has_elbo

    def examples(self, limit: int) -> Examples:
        """Test examples in an order of the seed."""
        return self.data.shuffled("test", self.generator, limit)

    def posterior(self, example: int | slice = slice(None), latent: int | slice = slice(None)) -> Distribution:
        """q(z|x) of encoded examples, on the CPU."""
        values = {name: value[example, latent] for name, value in self.encoded.parameters.items()}
        return self.module.vae.sampler.posterior(values)

    @property
    def prior(self) -> Distribution:
        """p(z) of one latent, on the CPU."""
        prior = self.module.vae.sampler.prior()
        return with_parameters(prior, {name: value.cpu() for name, value in parameters(prior).items()})

    def positions(self, probability: Tensor) -> Tensor:
        """Where latents are looked at: the prior's quantiles, the same of every latent, [P, L] from [P].

        Without a KL nothing holds the codes to the prior: then the quantiles of the encoded codes.

        Raises:
            DoesNotApply: for a prior whose quantiles are not known.
        """
        if not self.has_kl:
            return torch.quantile(self.encoded.codes, probability, dim=0)
        return quantiles(self.prior, probability)[:, None].expand(-1, self.module.vae.latent_dim)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Means of p(x|z) for latents [..., L] and, if the decoder is given them, labels [...]: [..., *x_shape]."""
        device = self.module.device
        return self.module.vae.decode(
            z.to(next(self.module.vae.parameters())), None if y is None else y.to(device)
        ).mean


def quantiles(distribution: Distribution, probability: Tensor) -> Tensor:
    """F⁻¹(p); DoesNotApply for a family whose quantiles are not known."""
    try:
        return quantile(distribution, probability)
    except ValueError as error:
        raise DoesNotApply(str(error)) from error


def latent_name(latent: int) -> str:
    """z₁ for latent 0, and so on."""
    return "z" + str(latent + 1).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


def _shown(subject: Subject) -> Shown:
    module, data = subject.module, subject.data
    examples = data.one_of_each_class("test") if subject.are_images else subject.examples(POINTS)
    taken = module.take(examples)
    reconstruct = _reconstructor(module, taken.y)
    reconstruction = reconstruct(module.noise.clean(taken.x))
    if module.noise.is_none:
        return Shown(taken.x, taken.y, reconstruction, None, None)
    # How many draws came before depends on the sampler.
    module.seed_batch(TEST, zlib.crc32(b"figures"), 0)
    noisy = module.noise(taken.x)
    # Stacked noise leaves the image alone: show one of its channels.
    seen = noisy if noisy.shape == taken.x.shape else noisy[:, -1:]
    return Shown(taken.x, taken.y, reconstruction, seen, reconstruct(noisy))


def _reconstructor(module: VAEModule, y: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda inputs: module.vae(inputs, y).p.mean
