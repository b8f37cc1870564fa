"""Samplers of latents that depend on one another given x."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, MultivariateNormal

from vae_hydra.base import checks
from vae_hydra.distributions import ConditionalFlow, VonMisesFisher
from vae_hydra.model.flows import neural_spline_flow
from vae_hydra.model.samplers.sampler import Sampler


class FullNormalSampler(Sampler):
    """q(z|x) = N(loc, T·Tᵀ), with a lower triangular T whose diagonal is positive: L·(L + 3)/2 features.

    >>> sampler = FullNormalSampler(torch.distributions.Normal(0.0, 1.0), positive="exp")
    >>> q = sampler(torch.tensor([1.0, 2.0, 0.0, 3.0, 0.0]))  # two means, T = [[1, 0], [3, 1]]
    >>> q.covariance_matrix.round()
    tensor([[ 1.,  3.],
            [ 3., 10.]])
    >>> sampler.kl_divergence(q, q.mean)  # ½·(tr Σ + |loc|² − L − ln |Σ|)
    tensor([7.])
    """

    is_joint = True

    def feature_count(self, latent_dim: int) -> int:
        return latent_dim * (latent_dim + 3) // 2

    def forward(self, features: Tensor) -> Distribution:
        latents = (math.isqrt(9 + 8 * features.shape[-1]) - 3) // 2
        loc, entries = features[..., :latents], features[..., latents:]
        rows, columns = torch.tril_indices(latents, latents, device=features.device)
        triangle = entries.new_zeros(*entries.shape[:-1], latents, latents)
        triangle[..., rows, columns] = torch.where(rows == columns, self.positive(entries), entries)
        return MultivariateNormal(loc, scale_tril=triangle, validate_args=False)


class VonMisesFisherSampler(Sampler):
    """q(z|x) = VonMisesFisher(loc, concentration) on the unit sphere of R^L, with the uniform prior there.

    The L first features, divided by their length, are the mean direction; the last one gives the concentration.

    Args:
        latent_dim: L ≥ 2, the number of coordinates; the sphere has L − 1 dimensions.
        min_concentration: least concentration ≥ 0.

    Source: Davidson, Falorsi, De Cao, Kipf and Tomczak, "Hyperspherical variational auto-encoders", 2018.
    """

    is_joint = True
    on_sphere = True

    def __init__(
        self, latent_dim: int, positive: str = "softplus", kl: str = "closed", min_concentration: float = 1.0
    ) -> None:
        checks.integer("model.latent_dim of sampler=von_mises_fisher", latent_dim, minimum=2)
        pole = torch.zeros(latent_dim).index_fill(0, torch.tensor([0]), 1.0)
        super().__init__(VonMisesFisher(pole, 0.0), positive, kl)
        self.min_concentration = checks.non_negative("sampler.min_concentration", min_concentration)

    def feature_count(self, latent_dim: int) -> int:
        return latent_dim + 1

    def forward(self, features: Tensor) -> Distribution:
        direction = self.on_support(features[..., :-1])
        concentration = self.min_concentration + self.positive(features[..., -1])
        return VonMisesFisher(direction, concentration, validate_args=False)

    def posterior(self, parameters: Mapping[str, Tensor]) -> Distribution:
        return super().posterior({**parameters, "loc": self.on_support(parameters["loc"])})

    def on_support(self, z: Tensor) -> Tensor:
        return torch.nn.functional.normalize(z, dim=-1)

    def code(self, q: Distribution) -> Tensor:
        """The mean direction: the mean lies inside the sphere, where no draw is."""
        return q.mode


class FlowSampler(Sampler):
    """q(z|x): z = loc + scale·f(ε; context), ε ~ N(0, I), with a neural spline flow f.

    The encoder predicts loc, scale and the context. The KL is estimated from the draw.

    Args:
        prior, positive: as for every sampler.
        latent_dim: L.
        context: number of features that the flow depends on.
        transforms: number of autoregressive transforms; a draw passes each of them L times.
        bins: of each spline.
        widths: of the hidden layers of each transform.

    Sources: Rezende and Mohamed, "Variational inference with normalizing flows", 2015; Durkan, Bekasov, Murray and
    Papamakarios, "Neural spline flows", 2019; zuko.
    """

    is_joint = True

    def __init__(
        self,
        prior: Distribution,
        latent_dim: int,
        positive: str = "softplus",
        context: int = 16,
        transforms: int = 1,
        bins: int = 8,
        widths: Sequence[int] = (64,),
    ) -> None:
        super().__init__(prior, positive, kl="monte_carlo")
        self.context = checks.positive_integer("sampler.context", context)
        flow = neural_spline_flow(latent_dim, "sampler", transforms, bins, widths, context=self.context)
        self.transform = flow.transform

    def feature_count(self, latent_dim: int) -> int:
        return 2 * latent_dim + self.context

    def forward(self, features: Tensor) -> Distribution:
        latents = (features.shape[-1] - self.context) // 2
        loc, scale, context = features.split([latents, latents, self.context], dim=-1)
        return ConditionalFlow(loc, self.positive(scale), context, self.transform, validate_args=False)

    def code(self, q: Distribution) -> Tensor:
        """The image of the centre of the noise: the mean has no closed form."""
        return q.mode
