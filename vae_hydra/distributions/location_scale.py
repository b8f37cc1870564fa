"""The base class of symmetric families with a location and a scale."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.types import _size


class LocationScale(Distribution):
    """A family symmetric about its location: x = loc + scale·u, where u has the standard form.

    Subclasses list all parameters in ``arg_constraints`` and define the standard form: ``_log_density``,
    ``_variance``, ``_entropy``, ``_lower_tail`` and its inverse ``_distance``. Draws invert a uniform number through
    ``_distance`` unless a subclass defines ``_draw``.

    Parameters keep their given shapes and broadcast only with values: terms of a scale that all values share are
    computed once, not for every value.

    Args:
        parameters: tensors or numbers by name, which broadcast to batch_shape.

    Raises:
        ValueError: for parameters outside ``arg_constraints`` (with ``validate_args``).
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    loc: Tensor
    scale: Tensor

    def __init__(self, validate_args: bool | None = None, **parameters: Tensor | float) -> None:
        like = next((value for value in parameters.values() if isinstance(value, Tensor)), torch.tensor(0.0))
        for name, value in parameters.items():
            is_tensor = isinstance(value, Tensor)
            setattr(self, name, value if is_tensor else torch.as_tensor(value, dtype=like.dtype, device=like.device))
        shapes = (getattr(self, name).shape for name in parameters)
        super().__init__(torch.broadcast_shapes(*shapes), validate_args=validate_args)

    def expand(self, batch_shape: _size, _instance: LocationScale | None = None) -> LocationScale:
        new = self._get_checked_instance(type(self), _instance)
        for name in self.arg_constraints:
            setattr(new, name, getattr(self, name).expand(batch_shape))
        super(LocationScale, new).__init__(torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def mean(self) -> Tensor:
        return self.loc.expand(self.batch_shape)

    @property
    def mode(self) -> Tensor:
        return self.loc.expand(self.batch_shape)

    @property
    def variance(self) -> Tensor:
        return (self.scale.square() * self._variance()).expand(self.batch_shape)

    def entropy(self) -> Tensor:
        """The entropy of the standard form plus ln s, in nats."""
        return (self._entropy() + self.scale.log()).expand(self.batch_shape)

    def rsample(self, sample_shape: _size = ()) -> Tensor:
        return self.loc + self.scale * self._draw(self._extended_shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return self._log_density((value - self.loc) / self.scale) - self.scale.log()

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        u = (value - self.loc) / self.scale
        tail = self._lower_tail(u.abs())
        return torch.where(u < 0, tail, 1 - tail)

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc + self.scale * self._standard_icdf(value)

    def _standard_icdf(self, value: Tensor) -> Tensor:
        distance = self._distance(torch.minimum(value, 1 - value))
        return torch.where(value < 0.5, -distance, distance)

    def _draw(self, shape: torch.Size) -> Tensor:
        uniform = torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device)
        # Keep it as far from 0, whose quantile is −∞, as rounding keeps it from 1.
        return self._standard_icdf(uniform.clamp(min=torch.finfo(uniform.dtype).eps / 2))

    def _log_density(self, u: Tensor) -> Tensor:
        """ln p(u) of the standard form."""
        raise NotImplementedError

    def _variance(self) -> Tensor | float:
        """Var u of the standard form."""
        raise NotImplementedError

    def _entropy(self) -> Tensor | float:
        """−E[ln p(u)] of the standard form."""
        raise NotImplementedError

    def _lower_tail(self, distance: Tensor) -> Tensor:
        """P(u ≤ −distance) for distance ≥ 0."""
        raise NotImplementedError

    def _distance(self, tail: Tensor) -> Tensor:
        """The inverse of ``_lower_tail`` for tails in [0, ½]."""
        raise NotImplementedError
