"""The parts of a model that splits positive vectors into a heavy radius and an angle: sampler, decoder and likelihood.

The radius z₀ has the tail of an inverse gamma, and p(x|z) has a mean proportional to z₀. By Breiman's lemma the sum
of x then has the tail index α of z₀. The angle depends on the radius through z₀/(1 + z₀), so that the shares of very
large x have a limit, as in a vector that varies regularly.

Source: Lafon, Naveau and Fablet, "A VAE approach to sample multivariate extremes", 2023 (ExtVAE). There radius and
angle have a VAE each; here they are one model, with one ELBO of x itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_hydra.base import checks
from vae_hydra.distributions import RadiusAngle, RadiusLatents
from vae_hydra.model.likelihoods import Likelihood
from vae_hydra.model.networks import MLPDecoder
from vae_hydra.model.samplers import Sampler


class RadiusAngleSampler(Sampler):
    """q(z|x) = RadiusLatents: an inverse-gamma radius z₀ and Normal latents.

    The prior is InverseGamma(α, α) for the radius and N(0, 1) for the others.

    Args:
        latent_dim: L ≥ 2, radius included.
        positive: map from features to concentration, rate and scales. With ``exp`` a rate follows the size of x.
        kl: ``closed`` or ``monte_carlo``.
        tail_index: α > 0 of the prior; ``prior=learned`` trains it.

    >>> q = RadiusAngleSampler(latent_dim=3)(torch.zeros(5, 6))
    >>> q.batch_shape, q.event_shape
    (torch.Size([5]), torch.Size([3]))
    """

    is_joint = True

    def __init__(self, latent_dim: int, positive: str = "exp", kl: str = "closed", tail_index: float = 2.0) -> None:
        checks.integer("model.latent_dim of sampler=radius_angle", latent_dim, minimum=2)
        alpha = torch.tensor([checks.positive("sampler.tail_index", tail_index)])
        others = latent_dim - 1
        super().__init__(RadiusLatents(alpha, alpha, torch.zeros(others), torch.ones(others)), positive, kl)

    def forward(self, features: Tensor) -> Distribution:
        others = features.shape[-1] // 2 - 1
        radius, rate, loc, scale = features.split([1, 1, others, others], dim=-1)
        values = self.positive(radius), self.positive(rate), loc, self.positive(scale)
        return RadiusLatents(*values, validate_args=False)

    def code(self, q: Distribution) -> Tensor:
        """1/E[1/z₀] and the means of the others, which exist for every tail index."""
        return q.centre  # type: ignore[attr-defined]


class RadialDecoder(MLPDecoder):
    """An ``MLPDecoder`` that receives z₀/(1 + z₀) for the radius z₀, the first latent.

    Shapes and arguments as for ``MLPDecoder``.
    """

    needs_positive_radius = True

    def forward(self, z: Tensor) -> Tensor:
        # 1 − 1/(1 + r) is 1 for an infinite radius, where r/(1 + r) is not a number.
        return super().forward(torch.cat([1 - 1 / (1 + z[..., :1]), z[..., 1:]], -1))


class RadiusAngleLikelihood(Likelihood):
    """p(x|z) = RadiusAngle(m, k, κ) of positive vectors, with the mean m = z₀·exp(feature) of each value.

    Args:
        concentration: k > 0 of the radius; a learned one starts from it.
        precision: κ > 0 of the angle; a learned one starts from it.
        learn_concentration: whether k is learned.
        learn_precision: whether κ is learned.
        x_shape: shape of one example, of two values or more.

    Raises:
        ValueError: for an option out of its range, or examples of a single value.

    >>> likelihood = RadiusAngleLikelihood(x_shape=[2])
    >>> likelihood(torch.zeros(1, 2), z=torch.tensor([[3.0, 0.5]])).mean.detach()
    tensor([[3., 3.]])
    """

    positive_only = True
    reads_latents = True
    needs_positive_radius = True

    def __init__(
        self,
        concentration: float = 2.0,
        precision: float = 10.0,
        learn_concentration: bool = True,
        learn_precision: bool = True,
        x_shape: Sequence[int] = (),
    ) -> None:
        super().__init__(x_shape)
        if math.prod(self.x_shape) < 2:
            raise ValueError(
                "likelihood=radius_angle is for examples of two positive values or more, but these have one; use "
                "likelihood=gamma or likelihood=lognormal"
            )
        for name, start, learn in (
            ("concentration", concentration, learn_concentration),
            ("precision", precision, learn_precision),
        ):
            log_start = math.log(checks.positive(f"likelihood.{name}", start))
            self._register(f"log_{name}", log_start, checks.boolean(f"likelihood.learn_{name}", learn))

    def forward(self, features: Tensor, z: Tensor | None = None) -> Distribution:
        """p(x|z) from features [..., *x_shape] and z [..., L]; without z, that of the radius 1."""
        mean = features.exp()
        if z is not None:
            mean = mean * z[..., 0].reshape(*z.shape[:-1], *[1] * len(self.x_shape))
        concentration, precision = (getattr(self, f"log_{name}").exp() for name in ("concentration", "precision"))
        return RadiusAngle(mean, concentration, precision, len(self.x_shape), validate_args=False)
