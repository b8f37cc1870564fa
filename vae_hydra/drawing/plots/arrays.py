"""Tensors or arrays as arrays, without an import of torch."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray
Limits = tuple[float, float]


def to_array(values: Any) -> Array:
    """A tensor on any device, or an array, in single precision."""
    values = values.detach().cpu().float() if hasattr(values, "detach") else values
    return np.asarray(values, dtype=np.float32)
