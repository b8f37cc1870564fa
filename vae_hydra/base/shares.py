"""A batch divided among the devices of a run, with the random numbers that one device would draw for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten


class Share(NamedTuple):
    """The rows of a batch that one of several devices works on. The parts differ by one row at most.

    >>> [Share(rank, 3, 8).rows for rank in range(3)]
    [slice(0, 3, None), slice(3, 6, None), slice(6, 8, None)]
    >>> Share(1, 2, 1).size
    0
    """

    rank: int
    ranks: int
    batch: int

    @property
    def rows(self) -> slice:
        """The rows of this device; of a batch smaller than the number of devices, there may be none."""
        small, more = divmod(self.batch, self.ranks)
        start = self.rank * small + min(self.rank, more)
        return slice(start, start + small + (self.rank < more))

    @property
    def size(self) -> int:
        """The number of rows."""
        return self.rows.stop - self.rows.start

    def draws(self) -> AbstractContextManager[Any]:
        """The context in which a device draws its share of the random numbers of the batch."""
        return nullcontext() if self.ranks == 1 else DrawsOfShare(self)


class DrawsOfShare(TorchDispatchMode):
    """Within this context, a random tensor of the share's rows is that part of the draw for the whole batch.

    All devices of a run hold the same state of the generator, so together they have the draws of one device. The axis
    of the rows is the first one of the share's size. A draw without such an axis is the same on all devices, as it is
    on one. Where another axis before it happens to have that size, draws are as random, but not those of one device.

    Args:
        share: of the batch that is drawn for.
    """

    def __init__(self, share: Share) -> None:
        super().__init__()
        self.share = share

    def __torch_dispatch__(self, func: Any, types: Sequence[Any], args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        if func not in DRAWS:
            raise NotImplementedError(f"{func} is a random draw that several devices cannot share; use one device")
        return DRAWS[func](self.share, func, *args, **kwargs)


def _axis(shape: Sequence[int], share: Share) -> int | None:
    """The axis of the rows; None where there is none."""
    return next((axis for axis, size in enumerate(shape) if size == share.size), None)


def _whole(shape: Sequence[int], share: Share) -> list[int]:
    axis = _axis(shape, share)
    return [share.batch if number == axis else size for number, size in enumerate(shape)]


def _part(whole: Tensor, shape: Sequence[int], share: Share) -> Tensor:
    """This device's rows of a draw for the whole batch, where a draw of ``shape`` was asked for."""
    axis = _axis(shape, share)
    return whole if axis is None else whole.narrow(axis, share.rows.start, share.size).contiguous()


def _in_place(share: Share, func: Any, values: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    drawn = func(values.new_empty(_whole(values.shape, share)), *args, **kwargs)
    return values.copy_(_part(drawn, values.shape, share))


def _of_size(share: Share, func: Any, size: Sequence[int], **kwargs: Any) -> Tensor:
    return _part(func(_whole(size, share), **kwargs), size, share)


def _like(share: Share, func: Any, like: Tensor, **kwargs: Any) -> Tensor:
    return _part(func(like.new_empty(_whole(like.shape, share)), **kwargs), like.shape, share)


def _of_tensors(share: Share, func: Any, *args: Any, **kwargs: Any) -> Tensor:
    """A draw whose parameters are tensors; how many numbers it takes may depend on those of the other devices' rows."""
    shape = next(value.shape for value in args if isinstance(value, Tensor))
    gathered = [_gathered(value, share) if isinstance(value, Tensor) else value for value in args]
    return _part(func(*gathered, **kwargs), shape, share)


def _gathered(values: Tensor, share: Share) -> Tensor:
    """``values`` of the whole batch: the rows of all devices, in their order."""
    axis = _axis(values.shape, share)
    if axis is None:
        return values
    sizes = [Share(rank, share.ranks, share.batch).size for rank in range(share.ranks)]
    # Devices exchange tensors of one size.
    padded = values.new_zeros([max(sizes) if number == axis else size for number, size in enumerate(values.shape)])
    padded.narrow(axis, 0, share.size).copy_(values)
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded)
    return torch.cat([part.narrow(axis, 0, size) for part, size in zip(parts, sizes, strict=True)], axis)


DRAWS: dict[Any, Callable[..., Tensor]] = {
    aten.normal.Tensor_Tensor: _of_tensors,
    aten.bernoulli.default: _of_tensors,
    aten._sample_dirichlet.default: _of_tensors,
    aten._standard_gamma.default: _of_tensors,
    aten.normal_.default: _in_place,
    aten.uniform_.default: _in_place,
    aten.exponential_.default: _in_place,
    aten.randn.default: _of_size,
    aten.rand.default: _of_size,
    aten.randn_like.default: _like,
    aten.rand_like.default: _like,
}


def batch_mean(values: Tensor) -> Tensor:
    """The mean of values [..., B, L] over the batch, [..., 1, L], of the whole batch if devices share it."""
    if not (dist.is_available() and dist.is_initialized()):
        return values.mean(-2, keepdim=True)
    count = values.new_tensor([float(values.shape[-2])])
    total = values.sum(-2, keepdim=True)
    dist.all_reduce(total)
    dist.all_reduce(count)
    return total / count
