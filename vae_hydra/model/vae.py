"""The variational autoencoder: encoder, sampler, decoder and likelihood in one module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_hydra.distributions import HomoscedasticNormal, log_density
from vae_hydra.model.condition import Condition
from vae_hydra.model.likelihoods import Likelihood
from vae_hydra.model.multivariate_t import given_latents
from vae_hydra.model.priors import Prior
from vae_hydra.model.samplers import Sampler

# Power of the greatest number that bounds a latent: 3e28 in single precision, a factor of 1e10 below overflow.
_LARGEST_POWER = 0.74


class VAEOutput(NamedTuple):
    """The result of one pass: the posterior q(z|x), a draw z from it, and p(x|z)."""

    q: Distribution
    z: Tensor
    p: Distribution


class VAE(nn.Module):
    """x → q(z|x) → z → p(x|z), on request with the class label y beside x, z or both.

    Args:
        encoder: x [..., *input_shape] → features [..., sampler.feature_count(latent_dim)].
        sampler: features → q(z|x) of batch_shape [..., latent_dim].
        decoder: z [..., latent_dim] → features [..., likelihood.parameters_per_value·x_shape[0], *x_shape[1:]].
        likelihood: features → p(x|z) of batch_shape [..., *x_shape].
        latent_dim: number of latents L.
        x_shape: shape of one example.
        condition: how encoder and decoder receive labels; None for a model without labels.
        classifier: z [..., latent_dim] → logits [..., classes]; None for a model that predicts no labels.
        prior: p(z) with trained parameters; None for the sampler's own.
    """

    def __init__(
        self,
        encoder: nn.Module,
        sampler: Sampler,
        decoder: nn.Module,
        likelihood: Likelihood,
        latent_dim: int,
        x_shape: Sequence[int],
        condition: Condition | None = None,
        classifier: nn.Module | None = None,
        prior: Prior | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.sampler = encoder, sampler
        self.decoder, self.likelihood = decoder, likelihood
        self.condition, self.classifier = condition, classifier
        self.prior = prior
        self.latent_dim, self.x_shape = latent_dim, tuple(x_shape)

    @property
    def kl_terms(self) -> int:
        """Number of terms of the KL: one for each latent, or one for all if they depend on one another."""
        is_joint = self.sampler.is_joint or (self.prior is not None and self.prior.is_joint)
        return 1 if is_joint else self.latent_dim

    @property
    def decodes_by_class(self) -> bool:
        """Whether the decoder receives labels, so that the model generates by class."""
        return self.condition is not None and self.condition.decoder

    def forward(self, x: Tensor, y: Tensor | None = None) -> VAEOutput:
        q = self.encode(x, y)
        z = self.draw(q)
        return VAEOutput(q, z, self.decode(z, y))

    def draw(self, q: Distribution, draws: int | None = None) -> Tensor:
        """z ~ q(z|x) with its gradient, of shape [..., L], or several draws, [draws, ..., L].

        A stack of runs draws each run's from its own generator, and puts the axis of draws behind that of the runs.
        """
        return q.rsample() if draws is None else q.rsample(torch.Size([draws]))

    def encode(self, x: Tensor, y: Tensor | None = None) -> Distribution:
        """q(z|x), of batch_shape [..., L], for inputs [..., *input_shape] and, if conditional, labels [...].

        Raises:
            ValueError: if the encoder needs labels and ``y`` is None.
        """
        if self.condition is not None:
            x = self.condition.beside_input(x, _given(y, "encode"), len(self.x_shape))
        return self.sampler(_full_precision(self.encoder(x)))

    def decode(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        """p(x|z), of batch_shape [..., *x_shape], for latents [..., L] and, if conditional, labels [...].

        Raises:
            ValueError: if the decoder needs labels and ``y`` is None.
        """
        if self.condition is not None and self.condition.decoder:
            z = self.condition.beside_latents(z, _given(y, "decode"))
        features = _full_precision(self.decoder(self._bounded(z)))
        # Labels come after the latents.
        return given_latents(self.likelihood, features, z[..., : self.latent_dim])

    def classify(self, z: Tensor) -> Tensor:
        """Logits of the classes, of shape [..., classes], for latents [..., L].

        Raises:
            ValueError: if the model has no classifier head.
        """
        if self.classifier is None:
            raise ValueError("this model has no head that classifies; train one with classifier=mlp")
        return self.classifier(self._bounded(z))

    def _bounded(self, z: Tensor) -> Tensor:
        """Clamp latents outside training, so that sums in the next network cannot become ∞ − ∞.

        In training, latents beyond the precision must stop the run: clamped ones would have no gradient.
        """
        if self.training:
            return z
        kind = z.device.type
        computes_in = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else z.dtype
        limit = torch.finfo(computes_in).max ** _LARGEST_POWER
        return z.clamp(-limit, limit)

    def prior_distribution(self) -> Distribution:
        """p(z): of one latent, of batch_shape [L], or of event_shape [L] where latents depend on one another."""
        return self.sampler.prior() if self.prior is None else self.prior(self.encode)

    def prior_sample(self, n: int) -> Tensor:
        """n draws z ~ p(z), of shape [n, L]."""
        prior = self.prior_distribution()
        is_of_one = not prior.batch_shape + prior.event_shape
        return prior.sample(torch.Size([n, self.latent_dim] if is_of_one else [n])).detach()

    def log_prior(self, z: Tensor) -> Tensor:
        """log p(z) [nats], of shape [...], for latents [..., L]."""
        return log_density(self.prior_distribution(), z)

    def sample(self, n: int, y: Tensor | int | None = None) -> Tensor:
        """Means of p(x|z) for n draws z ~ p(z), of shape [n, *x_shape].

        Args:
            n: number of draws.
            y: labels [n], or one for all, for a model that generates by class; None draws labels uniformly.

        Raises:
            ValueError: for a label outside the model's classes.
        """
        labels = self.labels_for(n) if y is None else torch.as_tensor(y, device=next(self.parameters()).device)
        if self.condition is not None and labels is not None:
            self.condition.check(labels)
        return self.decode(self.prior_sample(n), labels).mean

    def labels_for(self, n: int) -> Tensor | None:
        """Draw n labels uniformly for a decoder with labels; None for a decoder without."""
        if self.condition is None or not self.condition.decoder:
            return None
        device = next(self.parameters()).device
        return torch.randint(self.condition.classes, (n,), device=device)

    def kl_divergence(self, q: Distribution, z: Tensor) -> Tensor:
        """KL(q‖p) per example [nats], of shape [..., kl_terms], for a posterior and a draw z from it [..., L]."""
        return self.sampler.kl_divergence(q, z, self.prior_distribution())

    def log_likelihood(self, output: VAEOutput, x: Tensor) -> Tensor:
        """log p(x|z) per example [nats], of shape [...]."""
        dims = len(self.x_shape)
        if isinstance(output.p, HomoscedasticNormal):
            return output.p.event_log_prob(x, dims)
        return output.p.log_prob(x).flatten(-dims).sum(-1)


def _given(y: Tensor | None, verb: str) -> Tensor:
    if y is None:
        raise ValueError(f"this model was trained with class labels as inputs: {verb} needs y")
    return y


def _full_precision(features: Tensor) -> Tensor:
    """Raise half-precision features of mixed training to single precision, which densities need."""
    return features.float() if features.dtype.itemsize < 4 else features
