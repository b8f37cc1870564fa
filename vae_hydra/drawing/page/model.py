"""What a trained model makes of an example, and of a point of its latent space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_hydra.base.randomness import seeded
from vae_hydra.data.datamodule import DataModule
from vae_hydra.data.examples import Examples
from vae_hydra.data.noise import Noise
from vae_hydra.distributions import parameters, with_parameters
from vae_hydra.drawing.page.sliders import latents_at
from vae_hydra.training.module import VAEModule

# Test examples that latents are ranked by.
RANKED_BY = 1000
# Draws from one posterior, for a KL that is estimated.
KL_DRAWS = 1000


class Explored(NamedTuple):
    """A trained model and the examples it is looked at with.

    Attributes:
        module: the model, ready to evaluate.
        examples: those of the test split, as the model sees them.
        classes: number of classes of the data.
        limits: least and greatest value of the data.
        noises: name → clean examples as the encoder is given them; the run's own noise follows ``none``.
        information: of each latent [L], see ``information``.
    """

    module: VAEModule
    examples: Examples
    classes: int
    limits: tuple[float, float]
    noises: dict[str, Callable[[Tensor], Tensor]]
    information: Tensor

    @property
    def prior(self) -> Distribution:
        """p(z) of one latent."""
        return self.module.vae.sampler.prior()

    @property
    def are_images(self) -> bool:
        """Whether examples are images, rather than points."""
        return len(self.module.vae.x_shape) == 3

    def noise_titles(self) -> dict[str, str]:
        """What each noise is called in a list → its name."""
        own = self.module.noise.name
        return {f"{name} (as in training)" if name == own else name: name for name in self.noises}

    def most_informative(self, count: int) -> list[int]:
        """The ``count`` latents of most information, that of the most first."""
        return self.information.argsort(descending=True, stable=True)[:count].tolist()


class Look(NamedTuple):
    """One example through the model.

    Attributes:
        original: the clean example, [*x_shape].
        fed: the encoder's input; where noise is stacked, one of its channels [1, H, W].
        reconstruction: the mean of p(x|z) at the code.
        q: q(z|x), of batch_shape [L].
        kl: KL(q‖p) of each latent [nats], [L].
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


def explored(module: VAEModule, data: DataModule) -> Explored:
    """What is explored of a run, from its module and its data."""
    noises: dict[str, Callable[[Tensor], Tensor]] = {"none": module.noise.clean}
    noises |= {noise.name: noise for noise in module.test_noises if isinstance(noise, Noise)}
    sample = data.shuffled("test", torch.Generator().manual_seed(module.seed), RANKED_BY)
    return Explored(
        module, data.prepared("test"), data.classes, data.value_range(), noises, information(module, sample)
    )


@torch.no_grad()
def information(module: VAEModule, examples: Examples) -> Tensor:
    """How much each latent says about clean examples, [L]: the mean of KL(q‖p) [nats].

    The latents of a plain autoencoder have no KL: the variance of their codes.
    """
    taken, sampler = module.take(examples), module.vae.sampler
    q = module.vae.encode(module.noise.clean(taken.x), taken.y)
    if not sampler.has_elbo:
        return sampler.code(q).var(0)
    with seeded(module.seed, module.device):
        return sampler.kl_divergence(q, q.sample()).mean(0)


def medians(what: Explored) -> Tensor:
    """Every latent at the prior's median, [L]."""
    return latents_at(what.prior, torch.full((what.module.vae.latent_dim,), 0.5))


def indices_of(examples: Examples, label: int | None) -> Tensor:
    """Where the examples of a class are, or all of them, [N]."""
    return torch.arange(len(examples)) if label is None else (examples.y == label).nonzero().squeeze(1)


@torch.no_grad()
def look(what: Explored, index: int, noise: str, seed: int) -> Look:
    """Send the ``index``-th example through the model under one of its noises, drawn by ``seed``."""
    module, vae = what.module, what.module.vae
    taken = module.take(what.examples[torch.tensor([index])])
    with seeded(seed, module.device):
        fed = what.noises[noise](taken.x)
        q = vae.encode(fed, taken.y)
        draws = q.sample(torch.Size([KL_DRAWS]))
        kl = vae.sampler.kl_divergence(q, draws).expand_as(draws).mean((0, 1))
    code = vae.sampler.code(q)
    # Stacked noise leaves the image alone: show one of its channels.
    seen = fed if fed.shape == taken.x.shape else fed[:, -1:]
    return Look(taken.x[0], seen[0], vae.decode(code, taken.y).mean[0], _first(q), kl, code[0], int(taken.y))


@torch.no_grad()
def decoded(what: Explored, z: Tensor, label: int) -> Tensor:
    """Means of p(x|z) for latents [..., L], [..., *x_shape]; ``label`` is for a decoder that is given the class."""
    y = torch.full(z.shape[:-1], label, device=z.device) if what.module.vae.decodes_by_class else None
    return what.module.vae.decode(z, y).mean


@torch.no_grad()
def class_probabilities(what: Explored, z: Tensor) -> Tensor | None:
    """What the model's head makes of latents [..., L], [..., classes]; None of a model without one."""
    vae = what.module.vae
    return None if vae.classifier is None else vae.classify(z).softmax(-1)


def traversals(what: Explored, z: Tensor, latents: Sequence[int], positions: Tensor, label: int) -> Tensor:
    """A row for each of ``latents``: it alone leaves the point z [L] for the prior's quantiles at ``positions`` [K].

    Returns:
        Decoded, [R, K, *x_shape].
    """
    points = z.repeat(len(latents), len(positions), 1)
    for row, latent in enumerate(latents):
        points[row, :, latent] = latents_at(what.prior, positions)
    return decoded(what, points, label)


def plane(what: Explored, z: Tensor, across: int, up: int, cells: int, label: int) -> Tensor:
    """Two latents of the point z [L] over the middles of ``cells`` equal parts of their prior's probability each.

    Returns:
        Decoded, [cells, cells, *x_shape]: along a row the latent ``across`` grows, the latent ``up`` from row to row.
    """
    values = latents_at(what.prior, (torch.arange(cells) + 0.5) / cells)
    points = z.repeat(cells, cells, 1)
    points[..., across] = values
    points[..., up] = values.unsqueeze(1)
    return decoded(what, points, label)


def _first(q: Distribution) -> Distribution:
    """The first of a batch of distributions."""
    return with_parameters(q, {name: value[0] for name, value in parameters(q).items()})
