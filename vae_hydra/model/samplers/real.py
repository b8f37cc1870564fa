"""Samplers of latents on the real line."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, Laplace, Normal

from vae_hydra.base import checks
from vae_hydra.distributions import StudentT
from vae_hydra.model.samplers.sampler import Sampler


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
