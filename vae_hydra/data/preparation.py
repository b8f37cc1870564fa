"""From stored values to those of the model, and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vae_hydra.data.scaling import Scaling

# Increasing functions, which map the least and greatest value to the least and greatest value.
TRANSFORMS: dict[str, Callable[[Tensor], Tensor]] = {"none": lambda x: x, "exp": torch.exp, "log1p": torch.log1p}
INVERSES: dict[str, Callable[[Tensor], Tensor]] = {"none": lambda y: y, "exp": torch.log, "log1p": torch.expm1}
# ln of each transform's slope, as a function of the transformed value.
LOG_SLOPES: dict[str, Callable[[Tensor], Tensor]] = {"none": torch.zeros_like, "exp": torch.log, "log1p": torch.neg}
NEEDS = {"exp": "values < 88", "log1p": "values > −1"}


@dataclass(frozen=True)
class Preparation:
    """scaling(transform(scale·x)), increasing in every value.

    Attributes:
        scale: factor of stored values.
        transform: key of ``TRANSFORMS``.
        scaling: scale of each column of vectors; None for none.
    """

    scale: float
    transform: str
    scaling: Scaling | None = None

    def apply(self, x: Tensor) -> Tensor:
        """Stored values → prepared values; bools, which are drawn pixels, become 0 and 1."""
        # Scaled, a 1 might become 0.9999999.
        if x.dtype == torch.bool:
            return x.float()
        y = TRANSFORMS[self.transform](x.float() * self.scale)
        return y if self.scaling is None else self.scaling.apply(y)

    def undo(self, y: Tensor) -> Tensor:
        """Prepared values → scale·x."""
        return INVERSES[self.transform](self._transformed(y))

    def log_slope(self, y: Tensor) -> Tensor:
        """ln of the slope of scaling and transform at each prepared value."""
        slope = LOG_SLOPES[self.transform](self._transformed(y))
        return slope if self.scaling is None else slope - self.scaling.spread.to(y).log()

    def _transformed(self, y: Tensor) -> Tensor:
        return y if self.scaling is None else self.scaling.undo(y)
