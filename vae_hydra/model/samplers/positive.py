"""Samplers of positive latents."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution, Gamma, LogNormal

from vae_hydra.base import checks
from vae_hydra.distributions import InverseGaussian, Weibull
from vae_hydra.model.samplers.sampler import Sampler


class LogNormalSampler(Sampler):
    """q(z|x) = LogNormal(loc, scale), the exponential of a Normal.

    >>> import torch
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

    >>> import torch
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

    >>> import torch
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

    >>> import torch
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
