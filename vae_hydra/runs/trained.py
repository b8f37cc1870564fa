"""A trained model with its data: posteriors of test examples, the order of its latents, what it decodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_hydra.base.randomness import seeded
from vae_hydra.data.datamodule import DataModule
from vae_hydra.data.examples import Examples
from vae_hydra.data.noise import Noise
from vae_hydra.distributions import Drawn, marginals, parameters, quantile, with_parameters
from vae_hydra.runs.posteriors import Posteriors, mean_kl, posteriors
from vae_hydra.training.module import VAEModule

# Test examples whose posteriors are shown, and which rank the latents.
RANKED_BY = 5000
# Draws from one posterior, for a KL that is estimated.
KL_DRAWS = 1000


class RoundTrip(NamedTuple):
    """One example through the model, on the CPU but for ``q``.

    Attributes:
        original: the clean example, [*x_shape].
        fed: the encoder's input; of stacked noise, one of its channels [1, H, W].
        reconstruction: the mean of p(x|z) at the code.
        q: q(z|x), of batch_shape [L] or event_shape [L], on the model's device.
        kl: KL(q‖p) of each latent [nats], [L]; [1] where only that of all together exists.
        code: the point that stands for q(z|x), [L].
        label: the example's class.
    """

    original: Tensor
    fed: Tensor
    reconstruction: Tensor
    q: Distribution
    kl: Tensor
    code: Tensor
    label: int


@dataclass
class TrainedModel:
    """A trained model with its data. Latents are numbered from 0, as in the arrays of ``embed``.

    Attributes:
        module: the model, on any device, in evaluation mode.
        data: the data that it was trained on.
    """

    module: VAEModule
    data: DataModule

    @property
    def latent_dim(self) -> int:
        """L, the number of latents."""
        return self.module.vae.latent_dim

    @property
    def are_images(self) -> bool:
        """Whether examples are images, rather than vectors."""
        return len(self.module.vae.x_shape) == 3

    @property
    def has_kl(self) -> bool:
        """Whether posteriors are distributions with a KL to the prior."""
        return self.module.vae.sampler.has_elbo

    @property
    def limits(self) -> tuple[float, float]:
        """Least and greatest value of the data."""
        return self.data.value_range()

    @property
    def has_kl_per_latent(self) -> bool:
        """Whether each latent has a KL of its own: posterior and prior are of independent latents."""
        return self.has_kl and self.module.vae.kl_terms == self.latent_dim

    @cached_property
    def prior(self) -> Distribution:
        """p(z) of each latent, of batch_shape [L], on the CPU.

        Where latents depend on one another, these are marginals, known by draws of the run's seed.
        """
        vae = self.module.vae
        with seeded(self.module.seed, self.module.device), torch.no_grad():
            prior = marginals(vae.prior_distribution())
        if isinstance(prior, Drawn):
            return prior
        values = {name: value.expand(self.latent_dim) for name, value in parameters(prior).items()}
        return with_parameters(prior, values)

    def prior_of(self, latent: int) -> Distribution:
        """p(z) of one latent, on the CPU."""
        prior = self.prior
        if isinstance(prior, Drawn):
            return prior.of(latent)
        return with_parameters(prior, {name: value[latent] for name, value in parameters(prior).items()})

    @cached_property
    def test_examples(self) -> Examples:
        """All test examples in their stored order, as the model sees them."""
        return self.data.prepared("test")

    @cached_property
    def noises(self) -> dict[str, Callable[[Tensor], Tensor]]:
        """Name → clean examples as the encoder is given them: ``none``, then the noises of the test."""
        tested = {noise.name: noise for noise in self.module.test_noises if isinstance(noise, Noise)}
        return {"none": self.module.noise.clean, **tested}

    @cached_property
    def encoded(self) -> Posteriors:
        """Posteriors of clean test examples, in an order of the run's seed."""
        generator = torch.Generator().manual_seed(self.module.seed)
        return posteriors(self.module, self.data.shuffled("test", generator, RANKED_BY), self.module.seed)

    @cached_property
    def kl(self) -> Tensor:
        """Mean KL(q‖p) of each latent over the encoded examples [nats], of shape [L]; [1] without one for each."""
        return mean_kl(self.module, self.encoded)

    @cached_property
    def order(self) -> list[int]:
        """All latents, the one with the most KL first; without a KL of each, the one whose code varies most."""
        scores = self.kl if self.has_kl_per_latent else self.encoded.codes.var(0)
        return scores.argsort(descending=True, stable=True).tolist()

    def positions(self, probability: Tensor) -> Tensor:
        """Quantiles of the prior of each latent, [P, L] from probabilities [P].

        Without a KL the codes need not follow the prior: then each latent has the quantiles of its encoded codes.

        Raises:
            NoQuantiles: for a prior whose quantiles are not known.
        """
        if not self.has_kl:
            return torch.quantile(self.encoded.codes, probability, dim=0)
        return quantile(self.prior, probability[:, None])

    @torch.no_grad()
    def decode(self, z: Tensor, y: Tensor | int | None = None) -> Tensor:
        """Means of p(x|z), [..., *x_shape], for latents [..., L].

        Args:
            z: the latents, on any device; of a sampler on a sphere, they are moved there.
            y: labels that broadcast with [...], for a decoder that is given them.
        """
        z = z.to(next(self.module.vae.parameters()))
        labels = None if y is None else torch.as_tensor(y, device=z.device).expand(z.shape[:-1])
        return self.module.vae.decode(self.module.vae.sampler.on_support(z), labels).mean

    @torch.no_grad()
    def class_probabilities(self, z: Tensor) -> Tensor | None:
        """Probabilities that the model's head gives latents [..., L], [..., classes]; None for a model without one."""
        vae = self.module.vae
        return None if vae.classifier is None else vae.classify(z.to(next(vae.parameters()))).softmax(-1).cpu()

    @torch.no_grad()
    def round_trip(self, index: int, noise: str = "none", seed: int = 0) -> RoundTrip:
        """Send the ``index``-th test example through the model under one of ``noises``, drawn by ``seed``."""
        module, vae = self.module, self.module.vae
        taken = module.take(self.test_examples[torch.tensor([index])])
        with seeded(seed, module.device):
            fed = self.noises[noise](taken.x)
            q = vae.encode(fed, taken.y)
            draws = q.sample(torch.Size([KL_DRAWS]))
            kl = vae.kl_divergence(q, draws).expand(*draws.shape[:-1], vae.kl_terms).mean((0, 1))
        code = vae.sampler.code(q)
        first = with_parameters(q, {name: value[0] for name, value in parameters(q).items()})
        shown = (taken.x, visible_input(fed, taken.x), self.decode(code, taken.y))
        original, seen, reconstruction = (batch[0].cpu() for batch in shown)
        return RoundTrip(original, seen, reconstruction, first, kl.cpu(), code[0].cpu(), int(taken.y))


def visible_input(fed: Tensor, x: Tensor) -> Tensor:
    """The encoder's input ``fed`` as a picture of clean examples ``x`` [N, *x_shape] under noise.

    Stacked noise leaves the image unchanged and adds channels: of these the last is shown, [N, 1, H, W].
    """
    return fed if fed.shape == x.shape else fed[:, -1:]


def traversal(z: Tensor, latents: Sequence[int], values: Tensor) -> Tensor:
    """Points of a traversal, [R, K, L]: in row r the latent ``latents[r]`` alone leaves the point z [L].

    Args:
        z: the point, [L].
        latents: the R latents that move.
        values: K values of each latent, [K, L].
    """
    points = z.repeat(len(latents), len(values), 1)
    for row, latent in enumerate(latents):
        points[row, :, latent] = values[:, latent]
    return points
