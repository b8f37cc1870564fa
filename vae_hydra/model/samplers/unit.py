"""Samplers of latents in (0, 1)."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Beta, Distribution

from vae_hydra.base import checks
from vae_hydra.distributions import Kumaraswamy
from vae_hydra.model.samplers.sampler import Sampler


class UnitSampler(Sampler):
    """q(z|x) of two concentrations, each min_concentration + positive(feature).

    Args:
        min_concentration: least concentration ≥ 0; with 1, the density of q(z|x) is bounded.
    """

    def __init__(
        self, prior: Distribution, positive: str = "softplus", kl: str = "closed", min_concentration: float = 0.1
    ) -> None:
        super().__init__(prior, positive, kl)
        self.min_concentration = checks.non_negative("sampler.min_concentration", min_concentration)

    def concentrations(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Both concentrations, each [..., L]."""
        first, second = (self.min_concentration + self.positive(features)).chunk(2, dim=-1)
        return first, second


class BetaSampler(UnitSampler):
    """q(z|x) = Beta(concentration1, concentration0), with torch's implicit gradient.

    >>> import torch
    >>> sampler = BetaSampler(Beta(1.0, 1.0), positive="exp", min_concentration=0.0)
    >>> q = sampler(torch.tensor([0.6931, 0.0]))  # Beta(2, 1), with ln 2 = 0.6931
    >>> q.mean, sampler.kl_divergence(q, q.mean)  # KL to the uniform: ln 2 − ½
    (tensor([0.6667]), tensor([0.1931]))
    """

    def forward(self, features: Tensor) -> Distribution:
        return Beta(*self.concentrations(features), validate_args=False)


class KumaraswamySampler(UnitSampler):
    """q(z|x) = Kumaraswamy(concentration1, concentration0), whose draws have a closed form.

    Its KL to the uniform distribution is closed.

    >>> import torch
    >>> sampler = KumaraswamySampler(torch.distributions.Uniform(0.0, 1.0), positive="exp", min_concentration=0.0)
    >>> q = sampler(torch.tensor([0.6931, 0.0]))  # Kumaraswamy(2, 1) = Beta(2, 1)
    >>> q.mean, sampler.kl_divergence(q, q.mean)
    (tensor([0.6667]), tensor([0.1931]))
    """

    def forward(self, features: Tensor) -> Distribution:
        return Kumaraswamy(*self.concentrations(features), validate_args=False)
