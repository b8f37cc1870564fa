"""Random draws of many runs as one: each run's from a generator of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten


class DrawsOfRuns(TorchDispatchMode):
    """Within this context, the m-th slice of every random tensor [M, …] is drawn from the m-th generator.

    Each run is drawn what it would be drawn alone, with its generator as the default one: results and gradients do not
    depend on which runs are stacked.

    Args:
        generators: one a run.

    Raises:
        ValueError: for a draw whose first axis is not that of the runs.
    """

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        self.generators = generators

    def __torch_dispatch__(self, func: Any, types: Sequence[Any], args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        if func not in DRAWS:
            raise ValueError(f"{func} is a random draw that runs cannot share; train this run alone")
        return DRAWS[func](self.generators, *args, **kwargs)


Generators = Sequence[torch.Generator]


def _slices(values: Any, runs: int) -> Sequence[Any]:
    if not isinstance(values, Tensor):
        return [values] * runs
    if len(values) != runs:
        raise ValueError(f"a draw of shape {tuple(values.shape)} has no axis of {runs} runs")
    return values.unbind(0)


def _of_tensors(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A draw whose parameters are tensors [M, …], or numbers."""

    def draw(generators: Generators, *args: Any, generator: Any = None, **kwargs: Any) -> Tensor:
        sliced = zip(*(_slices(value, len(generators)) for value in args), strict=True)
        return torch.stack([function(*of, generator=g, **kwargs) for of, g in zip(sliced, generators, strict=True)])

    return draw


def _in_place(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def draw(generators: Generators, values: Tensor, *args: Any, generator: Any = None, **kwargs: Any) -> Tensor:
        for of, g in zip(_slices(values, len(generators)), generators, strict=True):
            function(of, *args, generator=g, **kwargs)
        return values

    return draw


def _of_size(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def draw(generators: Generators, size: Sequence[int], **kwargs: Any) -> Tensor:
        if size[0] != len(generators):
            raise ValueError(f"a draw of shape {tuple(size)} has no axis of {len(generators)} runs")
        kwargs = {key: value for key, value in kwargs.items() if value is not None}
        return torch.stack([function(list(size[1:]), generator=g, **kwargs) for g in generators])

    return draw


def _like(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def draw(generators: Generators, like: Tensor, **kwargs: Any) -> Tensor:
        options = {"dtype": kwargs.get("dtype") or like.dtype, "device": like.device}
        return torch.stack([function(list(like.shape[1:]), generator=g, **options) for g in generators])

    return draw


DRAWS: dict[Any, Callable[..., Tensor]] = {
    aten.normal.Tensor_Tensor: _of_tensors(torch.normal),
    aten.bernoulli.default: _of_tensors(torch.bernoulli),
    aten._standard_gamma.default: _of_tensors(torch._standard_gamma),
    aten.normal_.default: _in_place(Tensor.normal_),
    aten.uniform_.default: _in_place(Tensor.uniform_),
    aten.exponential_.default: _in_place(Tensor.exponential_),
    aten.randn.default: _of_size(torch.randn),
    aten.rand.default: _of_size(torch.rand),
    aten.randn_like.default: _like(torch.randn),
    aten.rand_like.default: _like(torch.rand),
}
