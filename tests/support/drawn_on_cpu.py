"""Draws of the CPU's generator for tensors of any device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map


class DrawnOnCPU(TorchDispatchMode):
    """Within this context, two devices draw the same numbers from the same seed of the CPU."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        device = next((one.device for one in args if isinstance(one, Tensor)), kwargs.get("device"))
        options = {**kwargs, "device": "cpu"} if kwargs.get("device") else kwargs
        drawn = func(*tree_map(lambda one: one.cpu() if isinstance(one, Tensor) else one, args), **options)
        return args[0].copy_(drawn) if func._schema.is_mutable else drawn.to(device)
