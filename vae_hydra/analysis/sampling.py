"""New examples from a trained model: from the prior, from a class's embedding, from the aggregate posterior."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_hydra.base import checks
from vae_hydra.base.randomness import seeded
from vae_hydra.data.datamodule import DataModule
from vae_hydra.distributions import quantile
from vae_hydra.model.vae import VAE
from vae_hydra.runs.posteriors import (
    BATCH,
    AggregatePosterior,
    Posteriors,
    class_embeddings,
    mixed_embeddings,
    posteriors,
)
from vae_hydra.training.module import VAEModule

WAYS = ("prior", "class_embedding", "aggregate_posterior")
# Training examples that the mixture of a class is fitted to.
FITTED = 2000
# Prior draws looked at for each that is wanted, where a head says which are of a class.
TRIES = 1000


@dataclass(frozen=True)
class Request:
    """What to generate.

    Attributes:
        n: how many examples.
        seed: of all draws.
        by: ``prior``: z ~ p(z). ``class_embedding``: z from the family of q(z|x), with the mean of its parameters over
            the training examples of a class. ``aggregate_posterior``: z from a Gaussian mixture fitted to draws from
            the posteriors of training examples, one mixture a class.
        label: class of all of them; None for each class in turn, where the way of generating knows classes.
        mix: a second class whose embedding is mixed in; only ``by="class_embedding"``.
        weight: of the second class, in [0, 1].
        temperature: τ > 0. z = F⁻¹(Φ(τ·ε)), ε ~ N(0, 1): quantiles of the same family, for a Normal μ + τ·σ·ε. Below 1
            they are nearer to the median. For the mixture, a factor on its components' standard deviations.
        components: of the mixture of a class.
        draw: whether x is drawn from p(x|z) rather than its mean.

    Raises:
        ValueError: for values out of range, or that do not go together.
    """

    n: int = 64
    seed: int = 0
    by: str = "prior"
    label: int | None = None
    mix: int | None = None
    weight: float = 0.5
    temperature: float = 1.0
    components: int = 10
    draw: bool = False

    def __post_init__(self) -> None:
        checks.positive_integer("n", self.n)
        checks.seed("seed", self.seed)
        checks.one_of("by", self.by, WAYS)
        checks.positive("temperature", self.temperature)
        checks.integer("components", self.components, minimum=1, maximum=FITTED)
        checks.boolean("draw", self.draw)
        if not 0 <= checks.non_negative("weight", self.weight) <= 1:
            raise ValueError(f"weight must be a number in [0, 1], but got {self.weight}")
        for name, value in (("class", self.label), ("mix", self.mix)):
            if value is not None:
                checks.non_negative_integer(name, value)
        if self.mix is not None and (self.by != "class_embedding" or self.label is None):
            raise ValueError("mix mixes the embeddings of two classes: it needs by=class_embedding and class=NUMBER")


class Generated(NamedTuple):
    """Examples x [n, *x_shape], the latents z [n, L] they were decoded from, and labels y [n], or None without."""

    x: Tensor
    z: Tensor
    y: Tensor | None


@torch.no_grad()
def generate_examples(module: VAEModule, data: DataModule | None, request: Request) -> Generated:
    """Draw z as ``request`` says, and decode it.

    Labels are those asked for, where the decoder, the embedding or the mixture is of a class; else what the model's
    head makes of z, if it has one.

    Args:
        module: a trained model, in evaluation mode.
        data: what it was trained on; None will do for ``by="prior"``.
        request: what to generate.

    Raises:
        ValueError: for a class that there is none of, or that this model knows nothing about.
    """
    _check_fits(module, data, request)
    _check_memory(module.vae, request.n)
    with seeded(request.seed, module.device):
        if request.by == "prior":
            z, y = _from_prior(module.vae, request)
        else:
            assert data is not None
            z, y = _from_posteriors(module, data, request)
        return Generated(_decode(module.vae, z, y, request.draw).float().cpu(), z.float().cpu(), _on_cpu(y))


def tempered(distribution: Distribution, shape: torch.Size, temperature: float) -> Tensor:
    """F⁻¹(Φ(τ·ε)), ε ~ N(0, 1), of shape shape + batch_shape: draws whose normal scores are τ times as far out."""
    scores = temperature * torch.randn(shape + distribution.batch_shape, dtype=torch.float64)
    smallest = torch.finfo(torch.float64).eps
    return quantile(distribution, torch.special.ndtr(scores).clamp(smallest, 1 - smallest))


def _check_fits(module: VAEModule, data: DataModule | None, request: Request) -> None:
    vae, classes = module.vae, module.description["classes"]
    for name, value in (("class", request.label), ("mix", request.mix)):
        if value is not None and value >= classes:
            raise ValueError(f"{name} must be from 0 to {classes - 1}, but got {value}")
    if request.by == "prior":
        if request.label is not None and not vae.decodes_by_class and vae.classifier is None:
            raise ValueError(
                "class: the prior of this run knows no classes; use by=class_embedding or by=aggregate_posterior, or "
                "train with condition=both or classifier=mlp"
            )
        return
    if data is None:
        raise ValueError(f"by={request.by} needs the data that the run was trained on")
    if request.by == "class_embedding" and classes < 2:
        raise ValueError("by=class_embedding needs data with two classes or more; use by=aggregate_posterior")
    if request.mix is not None and vae.decodes_by_class:
        raise ValueError("mix: the decoder of this run is given one class, and its codes do not tell classes apart")


def _check_memory(vae: VAE, n: int) -> None:
    """Refuse more examples than fit the memory: they are all held until they are written."""
    import psutil

    # Once as they are decoded, once joined; in single precision.
    needed, free = 2 * 4 * n * (math.prod(vae.x_shape) + vae.latent_dim), psutil.virtual_memory().available
    if needed > free:
        gigabytes = [f"{size / 1e9:,.1f} GB" for size in (needed, free)]
        raise ValueError(
            f"n={n:,} examples need {gigabytes[0]} of memory, but {gigabytes[1]} are free; use a smaller n"
        )


def _from_prior(vae: VAE, request: Request) -> tuple[Tensor, Tensor | None]:
    if vae.condition is not None and vae.decodes_by_class:
        return _prior(vae, request.n, request.temperature), _asked(request, vae.condition.classes)
    if vae.classifier is not None and request.label is not None:
        z = _of_class(vae, request)
        return z, torch.full((request.n,), request.label)
    z = _prior(vae, request.n, request.temperature)
    return z, None if vae.classifier is None else vae.classify(z).argmax(-1)


def _of_class(vae: VAE, request: Request) -> Tensor:
    """Prior draws that the head takes for ``request.label``: the others are thrown away."""
    kept: list[Tensor] = []
    for _ in range(math.ceil(request.n * TRIES / BATCH)):
        z = _prior(vae, BATCH, request.temperature)
        kept.append(z[vae.classify(z).argmax(-1) == request.label])
        if sum(map(len, kept)) >= request.n:
            return torch.cat(kept)[: request.n]
    found = sum(map(len, kept))
    raise ValueError(
        f"class: of {request.n * TRIES:,} draws from the prior, the head takes only {found} for {request.label}; "
        f"use by=class_embedding, or n={max(1, found)}"
    )


def _prior(vae: VAE, n: int, temperature: float) -> Tensor:
    if temperature == 1:
        return vae.prior_sample(n)
    like = next(vae.parameters())
    return tempered(vae.sampler.prior(), torch.Size([n, vae.latent_dim]), temperature).to(like)


def _from_posteriors(module: VAEModule, data: DataModule, request: Request) -> tuple[Tensor, Tensor | None]:
    vae = module.vae
    encoded = posteriors(module, data.prepared("train"), request.seed)
    y = _asked(request, data.classes)
    if request.by == "aggregate_posterior":
        z = _from_mixtures(encoded, y, vae.sampler.posterior(encoded.parameters), request)
        return z.to(next(vae.parameters())), y if data.classes > 1 or vae.decodes_by_class else None
    every = class_embeddings(encoded, data.classes)
    of_each = {name: value[y] for name, value in every.items()}
    if request.mix is not None:
        second = {name: value[request.mix].expand_as(of_each[name]) for name, value in every.items()}
        of_each = mixed_embeddings(of_each, second, request.weight)
    q = vae.sampler.posterior(of_each)
    z = q.sample() if request.temperature == 1 else tempered(q, torch.Size(), request.temperature)
    # A mix is of neither class.
    return z.to(next(vae.parameters())), y if request.mix is None else None


def _from_mixtures(encoded: Posteriors, y: Tensor, family: Distribution, request: Request) -> Tensor:
    z = torch.empty(len(y), encoded.draws.shape[1])
    for label in y.unique().tolist():
        of_class = encoded.draws[encoded.y == label]
        of_class = of_class[torch.randperm(len(of_class))[:FITTED]]
        if not len(of_class):
            raise ValueError(f"class: there are no training examples of {label}")
        mixture = AggregatePosterior(of_class, family, request.components, request.seed)
        here = y == label
        # Another stream for every class: the same numbers would show the same styles.
        z[here] = mixture.sample(int(here.sum()), request.seed + 1_000_003 * label, request.temperature)
    return z


def _asked(request: Request, classes: int) -> Tensor:
    """The class of each: the one asked for, or all in turn."""
    if request.label is not None:
        return torch.full((request.n,), request.label)
    return torch.arange(request.n) % classes


def _decode(vae: VAE, z: Tensor, y: Tensor | None, draw: bool) -> Tensor:
    parts = []
    for number, some in enumerate(z.split(BATCH)):
        labels = None if y is None else y[number * BATCH : number * BATCH + len(some)].to(z.device)
        p = vae.decode(some, labels)
        parts.append((p.sample() if draw else p.mean).cpu())
    return torch.cat(parts)


def _on_cpu(y: Tensor | None) -> Tensor | None:
    return None if y is None else y.cpu()
