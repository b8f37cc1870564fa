"""A GPU that is not there: its tensors lie in the CPU's memory, but do not mix with those of the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
aten = torch.ops.aten


class OnGPU(Tensor):
    """A tensor that says it is on the GPU."""

    device = property(lambda self: GPU)  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, held: Tensor) -> OnGPU:
        layout = {"strides": held.stride(), "storage_offset": held.storage_offset(), "dtype": held.dtype}
        made = Tensor._make_wrapper_subclass(cls, held.size(), device=CPU, **layout)
        made.held = held
        return made

    def tolist(self) -> Any:
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return dispatched(func, args, kwargs or {})


def held(value: Any) -> Any:
    return value.held if isinstance(value, OnGPU) else value


def put(value: Any) -> Any:
    return OnGPU(value) if isinstance(value, Tensor) and not isinstance(value, OnGPU) else value


def moved(value: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    plain = held(value).detach().to(dtype)
    return put(plain) if device.type == "cuda" else plain


def dispatched(func: Any, args: Any, kwargs: Any) -> Any:
    """An operation on the GPU if a tensor is there; RuntimeError if others, but for numbers and indices, are not."""
    tensors = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, Tensor)]
    on_gpu = [one for one in tensors if isinstance(one, OnGPU)]
    on_cpu = [one for one in tensors if one.dim() and not isinstance(one, OnGPU)]
    result = func(*tree_map(held, args), **tree_map(held, kwargs))
    if func is aten._local_scalar_dense.default:
        return result
    if func is aten.copy_.default:
        return args[0]
    indexes = func._schema.name.startswith("aten::index") and isinstance(args[0], OnGPU)
    if on_gpu and on_cpu and not (indexes and all(not one.is_floating_point() for one in on_cpu)):
        raise RuntimeError(f"{func}: expected all tensors to be on the same device")
    if not on_gpu:
        return result
    return args[0] if func._schema.name.endswith("_") and func._schema.is_mutable else tree_map(put, result)


class Operations(TorchDispatchMode):
    """Operations that torch calls itself."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return dispatched(func, args, kwargs or {})


class Functions(TorchFunctionMode):
    """Functions that name a device: they would look for a driver."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is Tensor.to:
            device, dtype = args[0].device, args[0].dtype
            for one in [*args[1:], *kwargs.values()]:
                if isinstance(one, Tensor):
                    device, dtype = one.device, one.dtype
                elif isinstance(one, torch.dtype):
                    dtype = one
                elif isinstance(one, (torch.device, str)):
                    device = torch.device(one)
            return moved(args[0], device, dtype)
        if func is Tensor.cpu:
            return moved(args[0], CPU, args[0].dtype)
        if getattr(func, "__name__", "") in ("numpy", "__array__") and isinstance(args[0], OnGPU):
            raise TypeError("can't convert a tensor of the GPU to numpy; use .cpu()")
        if kwargs.get("device") is not None and torch.device(kwargs["device"]).type == "cuda":
            return tree_map(put, func(*tree_map(held, args), **tree_map(held, {**kwargs, "device": CPU})))
        if func is torch.as_tensor and isinstance(args[0], OnGPU):
            return moved(args[0], CPU if "device" in kwargs else GPU, kwargs.get("dtype") or args[0].dtype)
        return func(*args, **kwargs)


@contextmanager
def pretended_gpu() -> Iterator[None]:
    """Within this context, tensors and modules can be put on the GPU. Nothing is trained, since nothing has a gradient.

    Torch's Laplace, Uniform and transformed distributions create numbers with functions that do not name a device.
    """
    with torch.no_grad(), Functions(), Operations():
        yield


def put_module(module: nn.Module) -> nn.Module:
    """Put the parameters and buffers of a module on the GPU."""
    for part in module.modules():
        for name, value in part._parameters.items():
            part._parameters[name] = None if value is None else nn.Parameter(put(value.detach()), requires_grad=False)
        for name, buffer in part._buffers.items():
            part._buffers[name] = None if buffer is None else put(buffer)
    return module
