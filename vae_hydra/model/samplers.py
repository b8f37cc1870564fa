"""Encoder features → q(z|x), a torch Distribution, and the prior p(z) it is held against."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Gamma, Laplace, LogNormal, Normal, kl_divergence

from vae_hydra.base import checks
from vae_hydra.distributions import Delta, FixedDistribution, InverseGaussian, StudentT, Weibull, with_parameters

KL_ESTIMATES = ("closed", "monte_carlo")
# Added to every positive parameter: keeps it above 0 where the map underflows.
FLOOR = 1e-6


def elu_plus_one(a: Tensor) -> Tensor:
    """ELU(a) + 1, that is a + 1 above 0 and exp(a) below, without the rounding to 0 of the literal sum."""
    return torch.relu(a) + a.clamp(max=0).exp()


POSITIVE_MAPS: dict[str, Callable[[Tensor], Tensor]] = {
    "softplus": nn.functional.softplus,
    "exp": torch.exp,
    # The encoder predicts a log-variance: the scale of Kingma and Welling's VAE.
    "half_exp": lambda a: torch.exp(0.5 * a),
    "elu_plus_one": elu_plus_one,
}


class Sampler(nn.Module, ABC):
    """Turn encoder features into the posterior q(z|x), and own the prior p(z).

    Subclasses set ``parameters_per_latent`` and define ``forward``: features of shape
    [..., parameters_per_latent·L] → a Distribution of batch_shape [..., L].

    Args:
        prior: the distribution of one latent under p(z).
        positive: key of ``POSITIVE_MAPS``, the map from features to positive parameters.
        kl: ``closed``, or ``monte_carlo`` for log q(z) − log p(z) at the drawn z.

    Raises:
        ValueError: for an unknown option, or a prior that is not a Distribution.
    """

    parameters_per_latent = 2
    has_elbo = True

    def __init__(self, prior: Distribution, positive: str = "softplus", kl: str = "closed") -> None:
        super().__init__()
        self.prior = FixedDistribution(prior)
        self.kl = checks.one_of("sampler.kl", kl, KL_ESTIMATES)
        self._map = POSITIVE_MAPS[checks.one_of("sampler.positive", positive, POSITIVE_MAPS)]

    @abstractmethod
    def forward(self, features: Tensor) -> Distribution:
        """q(z|x) of batch_shape [..., L] from features of shape [..., parameters_per_latent·L]."""

    def kl_divergence(self, q: Distribution, z: Tensor) -> Tensor:
        """KL(q‖p) per example and latent [nats], of shape [..., L].

        ``z`` is a draw from q, used by ``monte_carlo`` alone.

        Raises:
            ValueError: if no closed form is registered for the pair.
        """
        prior = self.prior()
        if self.kl == "monte_carlo":
            return q.log_prob(z) - prior.log_prob(z)
        try:
            return kl_divergence(q, prior)
        except NotImplementedError as error:
            raise ValueError(
                f"no closed form of KL({type(q).__name__} ‖ {type(prior).__name__}) is known; "
                "use sampler.kl=monte_carlo to estimate it"
            ) from error

    def posterior(self, parameters: Mapping[str, Tensor]) -> Distribution:
        """The distribution of the family of q(z|x) with these parameters, by their names: without an encoder."""
        features = torch.zeros(self.parameters_per_latent).to(next(self.prior.buffers()))
        with torch.no_grad():
            return with_parameters(self(features), parameters)

    def code(self, q: Distribution) -> Tensor:
        """The point that stands for q(z|x), of shape [..., L]: its mean, unless the family need not have one."""
        return q.mean

    def prior_sample(self, shape: tuple[int, ...]) -> Tensor:
        """Draw z ~ p(z) of the given shape; its last dimension is the latents."""
        return self.prior().sample(torch.Size(shape))

    def positive(self, a: Tensor) -> Tensor:
        """The configured map from the real line to positive numbers."""
        return self._map(a) + FLOOR


class NormalSampler(Sampler):
    """q(z|x) = Normal(loc, scale)."""

    def forward(self, features: Tensor) -> Distribution:
        loc, scale = features.chunk(2, dim=-1)
        return Normal(loc, self.positive(scale), validate_args=False)


class LaplaceSampler(Sampler):
    """q(z|x) = Laplace(loc, scale)."""

    def forward(self, features: Tensor) -> Distribution:
        loc, scale = features.chunk(2, dim=-1)
        return Laplace(loc, self.positive(scale), validate_args=False)


class StudentTSampler(Sampler):
    """q(z|x) = StudentT(df, loc, scale).

    No closed KL between two Student's t is known; that to a Normal is, and is infinite for df ≤ 2.

    Args:
        df: degrees of freedom > 0, if they are not learned.
        learn_df: whether the encoder predicts them for each latent, as min_df + positive(feature).
        min_df: the least that are predicted, ≥ 0.
    """

    df: Tensor

    def __init__(
        self,
        prior: Distribution,
        positive: str = "softplus",
        kl: str = "closed",
        df: float = 5.0,
        learn_df: bool = False,
        min_df: float = 2.0,
    ) -> None:
        super().__init__(prior, positive, kl)
        self.register_buffer("df", torch.tensor(checks.positive("sampler.df", df)), persistent=False)
        self.min_df = checks.non_negative("sampler.min_df", min_df)
        self.parameters_per_latent = 3 if checks.boolean("sampler.learn_df", learn_df) else 2

    def forward(self, features: Tensor) -> Distribution:
        loc, scale, *predicted = features.chunk(self.parameters_per_latent, dim=-1)
        df = self.min_df + self.positive(predicted[0]) if predicted else self.df
        return StudentT(df, loc, self.positive(scale), validate_args=False)

    def code(self, q: Distribution) -> Tensor:
        """Its location, which is there also for df ≤ 1."""
        return q.mode


class LogNormalSampler(Sampler):
    """q(z|x) = LogNormal(loc, scale), the exponential of a Normal."""

    def forward(self, features: Tensor) -> Distribution:
        loc, scale = features.chunk(2, dim=-1)
        return LogNormal(loc, self.positive(scale), validate_args=False)


class GammaSampler(Sampler):
    """q(z|x) = Gamma(concentration, rate), both through the positive map.

    Args:
        min_concentration: the least concentration ≥ 0; above 1, E[1/z] is finite, as an Inverse Gaussian prior needs.
    """

    def __init__(
        self, prior: Distribution, positive: str = "softplus", kl: str = "closed", min_concentration: float = 0.0
    ) -> None:
        super().__init__(prior, positive, kl)
        self.min_concentration = checks.non_negative("sampler.min_concentration", min_concentration)

    def forward(self, features: Tensor) -> Distribution:
        excess, rate = self.positive(features).chunk(2, dim=-1)
        return Gamma(self.min_concentration + excess, rate, validate_args=False)


class WeibullSampler(Sampler):
    """q(z|x) = Weibull(scale, concentration), both through the positive map.

    Args:
        min_concentration: the least concentration > 0; the mean grows as Γ(1 + 1/concentration), beyond
            single precision from 0.03 on down. Above 1, E[1/z] is finite, as an Inverse Gaussian prior needs.
    """

    def __init__(
        self, prior: Distribution, positive: str = "softplus", kl: str = "closed", min_concentration: float = 0.1
    ) -> None:
        super().__init__(prior, positive, kl)
        self.min_concentration = checks.positive("sampler.min_concentration", min_concentration)

    def forward(self, features: Tensor) -> Distribution:
        scale, excess = self.positive(features).chunk(2, dim=-1)
        return Weibull(scale, self.min_concentration + excess, validate_args=False)


class InverseGaussianSampler(Sampler):
    """q(z|x) = InverseGaussian(loc, concentration), both through the positive map.

    Args:
        gradient: ``implicit`` (unbiased) or ``pathwise`` (as published, biased); see ``InverseGaussian``.
    """

    def __init__(
        self, prior: Distribution, positive: str = "elu_plus_one", kl: str = "closed", gradient: str = "implicit"
    ) -> None:
        super().__init__(prior, positive, kl)
        self.gradient = gradient
        InverseGaussian(1.0, 1.0, gradient)  # refuses an unknown gradient now rather than in the first step

    def forward(self, features: Tensor) -> Distribution:
        loc, concentration = self.positive(features).chunk(2, dim=-1)
        return InverseGaussian(loc, concentration, self.gradient, validate_args=False)


class DeterministicSampler(Sampler):
    """q(z|x) is a point: the model is a plain autoencoder.

    Its KL is set to 0 by convention; the true one, of a point to a density, is infinite, so that the
    model has no ELBO. The prior only says where generated samples start from.
    """

    parameters_per_latent = 1
    has_elbo = False

    def __init__(self, prior: Distribution) -> None:
        super().__init__(prior)

    def forward(self, features: Tensor) -> Distribution:
        return Delta(features, validate_args=False)

    def kl_divergence(self, q: Distribution, z: Tensor) -> Tensor:
        return torch.zeros_like(z)
