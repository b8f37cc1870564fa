"""Random draws for many runs at once, each from the run's generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten


class CannotStack(ValueError):
    """Runs cannot be trained as one model, but each alone."""


class DrawsOfRuns(TorchDispatchMode):
    """Within this context, the m-th slice of every random tensor [M, …] is drawn from the m-th generator.

    Each run gets the draws that it gets alone, with its generator as the default one. They do not depend on the other
    runs.

    Args:
        generators: one for each run.

    Raises:
        CannotStack: for a draw that has no axis of the runs, or an operation that is not in ``DRAWS``.
    """

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        self.generators = generators

    def __torch_dispatch__(self, func: Any, types: Sequence[Any], args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        if func not in DRAWS:
            raise CannotStack(f"{func} is a random draw that runs cannot share")
        return DRAWS[func](self.generators, *args, **kwargs)


Generators = Sequence[torch.Generator]


def _check_axis(shape: Sequence[int], runs: int) -> None:
    if not shape or shape[0] != runs:
        raise CannotStack(f"a draw of shape {tuple(shape)} has no axis of {runs} runs")


def _slices(values: Any, runs: int) -> Sequence[Any]:
    if not isinstance(values, Tensor):
        return [values] * runs
    _check_axis(values.shape, runs)
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
        _check_axis(size, len(generators))
        kwargs = {key: value for key, value in kwargs.items() if value is not None}
        return torch.stack([function(list(size[1:]), generator=g, **kwargs) for g in generators])

    return draw


def _like(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def draw(generators: Generators, like: Tensor, **kwargs: Any) -> Tensor:
        _check_axis(like.shape, len(generators))
        options = {"dtype": kwargs.get("dtype") or like.dtype, "device": like.device}
        return torch.stack([function(list(like.shape[1:]), generator=g, **options) for g in generators])

    return draw


DRAWS: dict[Any, Callable[..., Tensor]] = {
    aten.normal.Tensor_Tensor: _of_tensors(torch.normal),
    aten.bernoulli.default: _of_tensors(torch.bernoulli),
    aten._sample_dirichlet.default: _of_tensors(torch._sample_dirichlet),
    aten._standard_gamma.default: _of_tensors(torch._standard_gamma),
    aten.normal_.default: _in_place(Tensor.normal_),
    aten.uniform_.default: _in_place(Tensor.uniform_),
    aten.exponential_.default: _in_place(Tensor.exponential_),
    aten.randn.default: _of_size(torch.randn),
    aten.rand.default: _of_size(torch.rand),
    aten.randn_like.default: _like(torch.randn),
    aten.rand_like.default: _like(torch.rand),
}
