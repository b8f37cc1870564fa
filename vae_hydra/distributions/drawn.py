"""Distributions known by draws alone, such as the marginals of a density of all latents together."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.types import _size

from vae_hydra.distributions.joint import is_joint
from vae_hydra.distributions.parameters import parameters, with_parameters

# Intervals of equal mass that the density is constant in.
INTERVALS = 50
# Draws for the marginals of a distribution of vectors.
DRAWS = 50_000
# As many at a time: a flow of all at once moves twice as long through memory.
PART = 5_000


def marginals(distribution: Distribution) -> Distribution:
    """The distribution of each latent on the CPU, of batch_shape [..., L]: known by draws where they are dependent."""
    if is_joint(distribution):
        return drawn_marginals(distribution)
    values = {name: value.detach().cpu() for name, value in parameters(distribution).items()}
    return with_parameters(distribution, values)


def drawn_marginals(distribution: Distribution) -> Drawn:
    """The marginals of a distribution of vectors, by 50,000 draws, on the CPU."""
    parts = [distribution.sample(torch.Size([PART])).float().cpu() for _ in range(DRAWS // PART)]
    return Drawn(torch.cat(parts))


class Drawn(Distribution):
    """Independent values with the quantiles of draws, and a density that is constant between 50 of them.

    The intervals have equal mass, so that heavy tails have wide ones. Beyond the least and greatest draw the density
    is 0.

    Args:
        draws: [N, *batch_shape], N ≥ 2.

    >>> drawn = Drawn(torch.linspace(0, 1, 1001))
    >>> drawn.icdf(torch.tensor([0.25, 0.5])), drawn.log_prob(torch.tensor(0.5)).exp().round()
    (tensor([0.2500, 0.5000]), tensor(1.))
    """

    arg_constraints: dict[str, constraints.Constraint] = {}
    has_rsample = False

    def __init__(self, draws: Tensor) -> None:
        self.ordered = draws.sort(0).values
        super().__init__(draws.shape[1:], validate_args=False)
        levels = torch.linspace(0, 1, INTERVALS + 1, dtype=draws.dtype)
        self._ends = self.icdf(levels.reshape(-1, *[1] * (draws.dim() - 1)))

    @property
    def mean(self) -> Tensor:
        """Mean of the draws."""
        return self.ordered.mean(0)

    def icdf(self, value: Tensor) -> Tensor:
        """Quantiles of the draws, linear in between, for probabilities that broadcast with batch_shape."""
        place = value.expand(torch.broadcast_shapes(value.shape, self.batch_shape)) * (len(self.ordered) - 1)
        low = place.floor().clamp(0, len(self.ordered) - 2)
        lead = place.dim() - len(self.batch_shape)
        flat = low.long().reshape(-1, *self.batch_shape) if lead else low.long().unsqueeze(0)
        below, above = self.ordered.gather(0, flat), self.ordered.gather(0, flat + 1)
        return torch.lerp(below.reshape(place.shape), above.reshape(place.shape), (place - low).to(below))

    def log_prob(self, value: Tensor) -> Tensor:
        """ln of the density at values that broadcast with batch_shape."""
        value = value.expand(torch.broadcast_shapes(value.shape, self.batch_shape))
        interval = (self._ends <= value.unsqueeze(-1 - len(self.batch_shape))).sum(-1 - len(self.batch_shape)) - 1
        inside = (interval >= 0) & (interval < INTERVALS)
        width = (self._ends[1:] - self._ends[:-1]).expand(INTERVALS, *self.batch_shape)
        chosen = width.gather(0, interval.clamp(0, INTERVALS - 1).reshape(-1, *self.batch_shape)).reshape(value.shape)
        return torch.where(inside, -(INTERVALS * chosen).log(), -torch.inf)

    def sample(self, sample_shape: _size = ()) -> Tensor:
        """Draws of shape [*sample_shape, *batch_shape], with the quantiles of the given ones."""
        shape = torch.Size(sample_shape) + self.batch_shape
        return self.icdf(torch.rand(shape, dtype=self.ordered.dtype))

    def of(self, index: int) -> Drawn:
        """The distribution of one value of batch_shape [L]."""
        return Drawn(self.ordered[:, index])
