"""Special functions that torch lacks, or computes without their small values."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
from torch import Tensor


def by_scipy(function: Callable[..., Any], *values: Tensor) -> Tensor:
    """Apply an elementwise function of arrays, in double precision on the CPU; without a gradient.

    Args:
        function: NumPy arrays → an array of their common shape.
        values: tensors that broadcast.

    Returns:
        A tensor of their common shape and dtype, on the device of the first.
    """
    found = function(*(value.detach().cpu().double().numpy() for value in values))
    dtype = reduce(torch.promote_types, (value.dtype for value in values))
    return torch.as_tensor(found).to(device=values[0].device, dtype=dtype)


def normal_cdf(x: Tensor) -> Tensor:
    """Φ(x). torch.special.ndtr is ½ + ½·erf(x/√2), which is 0 below −8.3."""
    return 0.5 * torch.erfc(-x / math.sqrt(2))
