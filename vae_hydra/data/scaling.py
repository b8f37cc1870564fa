"""A linear scale for each column of vectors, from the training examples alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vae_hydra.base import checks

SCALINGS = ("none", "standard", "robust")
# The interquartile range of a Normal distribution, in standard deviations.
NORMAL_RANGE = 1.3489795003921634


class Scaling(NamedTuple):
    """x ↦ (x − shift)/spread for each value of an example; shift and spread [D]."""

    shift: Tensor
    spread: Tensor

    def apply(self, x: Tensor) -> Tensor:
        """Scale values [..., D]."""
        return (x - self.shift.to(x)) / self.spread.to(x)

    def undo(self, y: Tensor) -> Tensor:
        """Scaled values [..., D] in their own units."""
        return y * self.spread.to(y) + self.shift.to(y)


def scaling_of(kind: str, x: Tensor, window: int = 1, columns: list[str] | None = None) -> Scaling | None:
    """The scale of vectors [N, D]; None for ``none``.

    Args:
        kind: ``standard`` for mean 0 and standard deviation 1; ``robust`` for median 0 and the interquartile range of
            N(0, 1), which outliers do not change.
        x: training examples; of windows, ``window`` rows of D / window columns, which have one scale each.
        columns: names of the columns, for errors.

    Raises:
        ValueError: for another kind, examples that are not vectors, or a column without spread.
    """
    if checks.one_of("dataset.scaling", kind, SCALINGS) == "none":
        return None
    if x.dim() != 2:
        raise ValueError(f"dataset.scaling={kind} needs vectors, but these examples have shape {list(x.shape[1:])}")
    rows = x.double().reshape(len(x) * window, -1).numpy()
    if kind == "standard":
        shift, spread = rows.mean(0), rows.std(0)
    else:
        low, shift, high = np.quantile(rows, (0.25, 0.5, 0.75), axis=0)
        spread = (high - low) / NORMAL_RANGE
    flat = [str(number) if columns is None else columns[number] for number in np.flatnonzero(~(spread > 0))]
    if flat:
        raise ValueError(
            f"dataset.scaling={kind}: these columns have no spread in the training part: {', '.join(flat[:10])}; leave "
            "them out with dataset.exclude, or use dataset.scaling=" + ("standard" if kind == "robust" else "none")
        )
    return Scaling(*(torch.from_numpy(np.tile(values, window)).float() for values in (shift, spread)))
