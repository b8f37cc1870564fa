"""A mixture of distributions of vectors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.types import _size

from vae_hydra.distributions.exponential_family import has_natural_form, log_densities
from vae_hydra.distributions.joint import is_joint, log_density
from vae_hydra.distributions.parameters import parameters, with_parameters


class Mixture(Distribution):
    """p(z) = Σₖ πₖ·fₖ(z) over vectors z [L].

    Unlike ``torch.distributions.MixtureSameFamily``, it draws from the chosen components alone, so that a draw from
    hundreds of components needs no more memory than one from a single component.

    Args:
        logits: ln πₖ up to a constant, [..., K].
        components: K distributions as one: of batch_shape [..., K, L] with independent values, or of batch_shape
            [..., K] and event_shape [L].

    >>> components = torch.distributions.Normal(torch.tensor([[-1.0], [1.0]]), 1.0)
    >>> Mixture(torch.zeros(2), components).log_prob(torch.tensor([0.0])).exp()  # the density of N(1, 1) at 0
    tensor(0.2420)
    """

    arg_constraints: dict[str, torch.distributions.constraints.Constraint] = {}
    has_rsample = False

    def __init__(self, logits: Tensor, components: Distribution, validate_args: bool | None = None) -> None:
        self.logits, self.components = logits.log_softmax(-1), components
        axes = components.batch_shape if is_joint(components) else components.batch_shape[:-1]
        batch = torch.broadcast_shapes(logits.shape[:-1], axes[:-1])
        size = components.event_shape if is_joint(components) else components.batch_shape[-1:]
        super().__init__(batch, size, validate_args=validate_args)

    @property
    def support(self) -> torch.distributions.constraints.Constraint | None:
        """Where every component has its support."""
        return self.components.support

    @property
    def mean(self) -> Tensor:
        """Σₖ πₖ·E_k[z], of shape [..., L]."""
        return (self.logits.exp().unsqueeze(-1) * self.components.mean).sum(-2)

    @property
    def numbers_per_value(self) -> int:
        """Size of the arrays that ``log_prob`` makes for one value, in numbers of single precision."""
        return self.logits.shape[-1] * (2 if has_natural_form(self.components) else self.event_shape.numel())

    def log_prob(self, value: Tensor) -> Tensor:
        """ln p(z) of shape [...] for z [..., L]."""
        if self.components._validate_args:
            self.components._validate_sample(value.unsqueeze(-2))
        each = log_densities(self.components, value)
        if each is None:
            each = log_density(self.components, value.unsqueeze(-2))
        return torch.logsumexp(self.logits + each, dim=-1)

    def sample(self, sample_shape: _size = ()) -> Tensor:
        """Draws of shape [*sample_shape, ..., L]."""
        with torch.no_grad():
            weights = self.logits.exp().expand(*self.batch_shape, -1).reshape(-1, self.logits.shape[-1])
            chosen = torch.multinomial(weights, torch.Size(sample_shape).numel(), replacement=True)
            rows = chosen + weights.shape[-1] * torch.arange(len(weights), device=chosen.device).unsqueeze(1)
            values = {name: value[rows.T] for name, value in self._rows().items()}
            draws = with_parameters(self.components, values).sample()
            return draws.reshape(*sample_shape, *self.batch_shape, *self.event_shape)

    def _rows(self) -> dict[str, Tensor]:
        """Parameters of the components by name, a row for each component of each mixture of the batch."""
        axes = [*self.batch_shape, self.logits.shape[-1]]
        own = len(self.components.batch_shape) - (not is_joint(self.components))
        given = parameters(self.components)
        return {name: v.expand(*axes, *v.shape[own:]).flatten(0, len(axes) - 1) for name, v in given.items()}
