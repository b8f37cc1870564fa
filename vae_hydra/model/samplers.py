"""Samplers: encoder features → the posterior q(z|x), a torch Distribution, with the prior p(z) beside it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Gamma, Laplace, LogNormal, Normal, kl_divergence

from vae_hydra.base import checks
from vae_hydra.distributions import (
    Delta,
    FixedDistribution,
    InverseGaussian,
    StudentT,
    Weibull,
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
    [..., parameters_per_latent·L] → a Distribution of batch_shape [..., L].

    Args:
        prior: the distribution of one latent under p(z).
        positive: key of ``POSITIVE_MAPS``, the map from features to positive parameters.
        kl: ``closed``, or ``monte_carlo`` for log q(z) − log p(z) at the drawn z.

    Attributes:
        parameters_per_latent: number of encoder features for each latent.
        has_elbo: whether the KL is finite, so that the model has an ELBO.
        is_joint: whether q(z|x) is a distribution of vectors, so that only the KL of all latents together exists.

    Raises:
        ValueError: for an unknown option, or a prior that is not a Distribution.
    """

    parameters_per_latent = 2
    has_elbo = True
    is_joint = False

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
        if is_joint(q) or is_joint(prior):
            return (log_density(q, z) - log_density(prior, z)).unsqueeze(-1)
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
        """Build a distribution of the family of q(z|x) from its parameters by name, without an encoder."""
        features = torch.zeros(self.parameters_per_latent).to(next(self.prior.buffers()))
        with torch.no_grad():
            return with_parameters(self(features), parameters)

    def code(self, q: Distribution) -> Tensor:
        """The point that represents q(z|x), of shape [..., L]: its mean, or another point if that may not exist."""
        return q.mean

    def positive(self, a: Tensor) -> Tensor:
        """Apply the configured map from the real line to positive numbers."""
        return self._map(a) + FLOOR


class NormalSampler(Sampler):
    """q(z|x) = Normal(loc, scale).

    >>> sampler = NormalSampler(Normal(0.0, 1.0), positive="half_exp")
    >>> q = sampler(torch.tensor([1.0, 2.0, 0.0, 0.0]))  # two means, two log-variances
    >>> sampler.kl_divergence(q, q.mean)  # loc²/2 nats where the scale is 1
    tensor([0.5000, 2.0000])
    """

    def forward(self, features: Tensor) -> Distribution:
        loc, scale = features.chunk(2, dim=-1)
        return Normal(loc, self.positive(scale), validate_args=False)


class LaplaceSampler(Sampler):
    """q(z|x) = Laplace(loc, scale).

    >>> sampler = LaplaceSampler(Laplace(0.0, 1.0), positive="exp")
    >>> q = sampler(torch.tensor([1.0, 2.0, 0.0, 0.0]))
    >>> sampler.kl_divergence(q, q.mean)  # |loc| + e^(−|loc|) − 1 nats where the scale is 1
    tensor([0.3679, 1.1353])
    """

    def forward(self, features: Tensor) -> Distribution:
        loc, scale = features.chunk(2, dim=-1)
        return Laplace(loc, self.positive(scale), validate_args=False)


class StudentTSampler(Sampler):
    """q(z|x) = StudentT(df, loc, scale).

    The KL to a Normal has a closed form, which is infinite for df ≤ 2. Between two Student's t none is known.

    Args:
        df: fixed degrees of freedom > 0, unless they are learned.
        learn_df: whether the encoder predicts df for each latent, as min_df + positive(feature).
        min_df: least predicted df, ≥ 0.

    >>> q = StudentTSampler(Normal(0.0, 1.0), positive="exp", df=4.0)(torch.zeros(5, 6))
    >>> q.batch_shape
    torch.Size([5, 3])
    >>> q.variance[0]  # df/(df − 2)
    tensor([2.0000, 2.0000, 2.0000])
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
        """The location of q(z|x), which exists for df ≤ 1 too."""
        return q.mode


class LogNormalSampler(Sampler):
    """q(z|x) = LogNormal(loc, scale), the exponential of a Normal.

    >>> sampler = LogNormalSampler(LogNormal(0.0, 1.0), positive="half_exp")
    >>> q = sampler(torch.tensor([1.0, 2.0, 0.0, 0.0]))
    >>> sampler.kl_divergence(q, q.mean)  # that of the Normals of ln z
    tensor([0.5000, 2.0000])
    """

    def forward(self, features: Tensor) -> Distribution:
        loc, scale = features.chunk(2, dim=-1)
        return LogNormal(loc, self.positive(scale), validate_args=False)


class GammaSampler(Sampler):
    """q(z|x) = Gamma(concentration, rate), both through the positive map.

    Args:
        min_concentration: least concentration ≥ 0; above 1, E[1/z] is finite, as an Inverse Gaussian prior requires.

    >>> q = GammaSampler(Gamma(2.0, 2.0), positive="exp")(torch.tensor([0.0, 1.0986, 0.0, 0.0]))
    >>> q.mean  # concentration/rate, with ln 3 = 1.0986
    tensor([1.0000, 3.0000])
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
        min_concentration: least concentration > 0. The mean grows as Γ(1 + 1/concentration), which leaves
            single precision below 0.03. Above 1, E[1/z] is finite, as an Inverse Gaussian prior requires.

    >>> q = WeibullSampler(Weibull(1.0, 1.0), positive="exp", min_concentration=1.0)(torch.zeros(4))
    >>> q.mean  # Γ(1 + 1/concentration), with concentration = 1 + e^0
    tensor([0.8862, 0.8862])
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

    >>> sampler = InverseGaussianSampler(InverseGaussian(1.0, 1.0))
    >>> q = sampler(torch.tensor([1.0, 3.0, 0.0, 0.0]))  # loc 2 and 4, concentration 1
    >>> sampler.kl_divergence(q, q.mean)  # (loc − 1)²/(2·loc) nats
    tensor([0.2500, 1.1250])
    """

    def __init__(
        self, prior: Distribution, positive: str = "elu_plus_one", kl: str = "closed", gradient: str = "implicit"
    ) -> None:
        super().__init__(prior, positive, kl)
        self.gradient = gradient
        InverseGaussian(1.0, 1.0, gradient)  # raises for an unknown gradient before the first step

    def forward(self, features: Tensor) -> Distribution:
        loc, concentration = self.positive(features).chunk(2, dim=-1)
        return InverseGaussian(loc, concentration, self.gradient, validate_args=False)


class DeterministicSampler(Sampler):
    """q(z|x) is a point: the model is a plain autoencoder.

    The KL is 0 by convention. The KL of a point to a density is infinite, so the model has no ELBO. Only
    generation uses the prior.

    >>> DeterministicSampler(Normal(0.0, 1.0))(torch.tensor([1.0, 2.0])).rsample()
    tensor([1., 2.])
    """

    parameters_per_latent = 1
    has_elbo = False

    def __init__(self, prior: Distribution) -> None:
        super().__init__(prior)

    def forward(self, features: Tensor) -> Distribution:
        return Delta(features, validate_args=False)

    def kl_divergence(self, q: Distribution, z: Tensor, prior: Distribution | None = None) -> Tensor:
        return torch.zeros_like(z)
