"""From stored values to those of the model, and back."""

from __future__ import annotations

import math
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


def check_values(preparation: Preparation, binarise: str, extremes: Tensor) -> None:
    """Refuse a transform or a binarisation that the values do not allow.

    Args:
        preparation: before its ``scaling`` is known.
        binarise: as for ``DataModule``.
        extremes: least and greatest stored values [2, *x_shape].

    Raises:
        ValueError: with the option and the range of the data.
    """
    transform = preparation.transform
    raw_low, raw_high = (extremes.float() * preparation.scale).aminmax()
    low, high = (bound.item() for bound in preparation.apply(extremes).aminmax())
    if transform != "none" and not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(
            f"dataset.transform={transform} needs {NEEDS[transform]}, but this dataset spans "
            f"[{raw_low:.3g}, {raw_high:.3g}]; use dataset.transform=none"
        )
    if binarise == "none":
        return
    if transform != "none":
        raise ValueError(f"dataset.binarise={binarise} needs dataset.transform=none, but got {transform!r}")
    if low < 0 or high > 1:
        raise ValueError(
            f"dataset.binarise={binarise} needs values in [0, 1], but this dataset spans "
            f"[{low:.3g}, {high:.3g}]; use dataset.binarise=none"
        )
