"""What all samplers share: the prior, the KL, and the map to positive parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, kl_divergence

from vae_hydra.base import checks
from vae_hydra.distributions import (
    FixedDistribution,
    is_joint,
    log_density,
    with_parameters,
)

KL_ESTIMATES = ("closed", "monte_carlo")
# Added to every positive parameter, to keep it above 0 where the map underflows.
FLOOR = 1e-6


def elu_plus_one(a: Tensor) -> Tensor:
    """ELU(a) + 1: a + 1 above 0 and exp(a) below, which does not round to 0 like the literal sum."""
    return torch.relu(a) + a.clamp(max=0).exp()


POSITIVE_MAPS: dict[str, Callable[[Tensor], Tensor]] = {
    "softplus": nn.functional.softplus,
    "exp": torch.exp,
    # The encoder predicts a log-variance, as in Kingma and Welling's VAE.
    "half_exp": lambda a: torch.exp(0.5 * a),
    "elu_plus_one": elu_plus_one,
}


class Sampler(nn.Module, ABC):
    """Turn encoder features into the posterior q(z|x), and hold the prior p(z).

    Subclasses set ``parameters_per_latent`` and define ``forward``: features of shape
    [..., parameters_per_latent·L] → a Distribution of batch_shape [..., L]. Where latents depend on one another, they
    set ``is_joint``, define ``feature_count`` and return a Distribution of batch_shape [...] and event_shape [L].

    Args:
        prior: the distribution of one latent under p(z).
        positive: key of ``POSITIVE_MAPS``, the map from features to positive parameters.
        kl: ``closed``, or ``monte_carlo`` for log q(z) − log p(z) at the drawn z.

    Attributes:
        parameters_per_latent: number of encoder features for each latent.
        has_elbo: whether the KL is finite, so that the model has an ELBO.
        is_joint: whether q(z|x) is a distribution of vectors, so that only the KL of all latents together exists.
        on_sphere: whether all latents lie on the unit sphere.

    Raises:
        ValueError: for an unknown option, or a prior that is not a Distribution.
    """

    parameters_per_latent = 2
    has_elbo = True
    is_joint = False
    on_sphere = False

    def __init__(self, prior: Distribution, positive: str = "softplus", kl: str = "closed") -> None:
        super().__init__()
        self.prior = FixedDistribution(prior)
        self.kl = checks.one_of("sampler.kl", kl, KL_ESTIMATES)
        self._map = POSITIVE_MAPS[checks.one_of("sampler.positive", positive, POSITIVE_MAPS)]

    @abstractmethod
    def forward(self, features: Tensor) -> Distribution:
        """q(z|x) of batch_shape [..., L] from features of shape [..., parameters_per_latent·L]."""

    def kl_divergence(self, q: Distribution, z: Tensor, prior: Distribution | None = None) -> Tensor:
        """KL(q‖p) per example and latent [nats], of shape [..., L]; of all together, [..., 1], if q or p is joint.

        Args:
            q: q(z|x).
            z: a draw from q, for an estimate: with ``monte_carlo``, or if q or p is joint.
            prior: p(z); None for the sampler's own.

        Raises:
            ValueError: if no closed form is registered for the pair.
        """
        prior = self.prior() if prior is None else prior
        joint = is_joint(q) or is_joint(prior)
        if self.kl == "monte_carlo":
            return _estimated(q, prior, z, joint)
        try:
            closed = kl_divergence(q, prior)
            return closed.unsqueeze(-1) if joint else closed
        except NotImplementedError as error:
            # Mixtures and flows have none, which their options say.
            if is_joint(prior):
                return _estimated(q, prior, z, joint)
            raise ValueError(
                f"no closed form of KL({type(q).__name__} ‖ {type(prior).__name__}) is known; "
                "use sampler.kl=monte_carlo to estimate it"
            ) from error

    def feature_count(self, latent_dim: int) -> int:
        """Number of encoder features for L latents."""
        return self.parameters_per_latent * latent_dim

    def posterior(self, parameters: Mapping[str, Tensor]) -> Distribution:
        """Build q(z|x) from its parameters by name, without an encoder, on the sampler's device, in its precision."""
        like = next(self.prior.buffers())
        with torch.no_grad():
            family = self(torch.zeros(self.feature_count(2)).to(like))
        return with_parameters(family, {name: value.to(like) for name, value in parameters.items()})

    def code(self, q: Distribution) -> Tensor:
        """The point that represents q(z|x), of shape [..., L]: its mean, or another point if that may not exist."""
        return q.mean

    def on_support(self, z: Tensor) -> Tensor:
        """The points nearest to z [..., L] where q(z|x) has a density: here z itself."""
        return z

    def positive(self, a: Tensor) -> Tensor:
        """Apply the configured map from the real line to positive numbers."""
        return self._map(a) + FLOOR


def _estimated(q: Distribution, prior: Distribution, z: Tensor, joint: bool) -> Tensor:
    """log q(z) − log p(z) at a draw, of each latent [..., L], or of all together [..., 1]."""
    if joint:
        return (log_density(q, z) - log_density(prior, z)).unsqueeze(-1)
    return q.log_prob(z) - prior.log_prob(z)
