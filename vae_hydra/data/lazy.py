"""Rows of a large array on disk, as a tensor that reads them when its values are used."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

# Bytes that are read before the pages of a file are given back. Pages come with their neighbours, so several times as
# much may be in memory.
RESIDENT = 64 * 2**20
# Answered without reading a row.
_ABOUT = frozenset(
    [
        *(getattr(Tensor, name).__get__ for name in ("shape", "dtype", "device", "ndim", "layout", "requires_grad")),
        *(Tensor.dim, Tensor.size, Tensor.numel, Tensor.is_floating_point, Tensor.element_size),
    ]
)


class MappedArray:
    """An .npy file [M, *shape] of bytes, mapped into memory.

    Args:
        path: the file; it must stay as it is.
    """

    def __init__(self, path: Path) -> None:
        header = np.load(path, mmap_mode="r", allow_pickle=False)
        with path.open("rb") as file:
            # A private copy of what is written, which is nothing: torch wants memory that could be written.
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        values = torch.frombuffer(self._map, dtype=torch.uint8, count=header.size, offset=header.offset)
        self.rows = values.reshape(header.shape)
        # A value of each page of a row.
        self._pages = self.rows.flatten(1).numpy()[:, :: mmap.PAGESIZE]
        self._selected = 0

    def select(self, positions: Tensor) -> Tensor:
        """Copies of some rows [n, *shape]."""
        # Using the pages brings them in, in the order of the file, which is faster for a disk.
        self._pages[np.sort(positions.numpy())]
        selected = self.rows.index_select(0, positions)
        self._selected += selected.nbytes
        if self._selected > RESIDENT and hasattr(mmap, "MADV_DONTNEED"):
            # The system keeps the pages as long as it has room, but they no longer count as this process's memory.
            self._map.madvise(mmap.MADV_DONTNEED)
            self._selected = 0
        return selected


class LazyRows(Tensor):
    """Rows of ``stored`` [M, *shape] in the order of ``positions`` [N]: a tensor [N, *shape] without values of its own.

    Indexing the first axis by a slice or a tensor of one axis gives other lazy rows. Every other operation reads the
    rows first and continues with an ordinary tensor, so ``split`` before it where all rows would fill the memory.

    Args:
        stored: the array.
        positions: of the rows; those from M on are rows of ``added``.
        added: rows in memory [A, *shape]; None for none.
        function: applied to the rows that are read, row by row: [n, *shape] → [n, *shape]; None for none.
    """

    stored: MappedArray
    positions: Tensor
    added: Tensor | None
    function: Callable[[Tensor], Tensor] | None
    # Filled by ``extremes``, because reading all rows takes long.
    extremes: Tensor | None = None

    @staticmethod
    def __new__(
        cls,
        stored: MappedArray,
        positions: Tensor,
        added: Tensor | None = None,
        function: Callable[[Tensor], Tensor] | None = None,
    ) -> LazyRows:
        dtype = torch.uint8 if function is None else function(stored.rows[:0]).dtype
        shape = (len(positions), *stored.rows.shape[1:])
        rows = Tensor._make_wrapper_subclass(cls, shape, dtype=dtype, device=torch.device("cpu"))
        rows.stored, rows.positions, rows.added, rows.function = stored, positions, added, function
        return rows

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func not in _ABOUT:
            args, kwargs = _without_lazy_rows((args, dict(kwargs or {})))
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        """Required of a tensor without storage; for calls that start in C++."""
        args, kwargs = _without_lazy_rows((args, kwargs or {}))
        return func(*args, **kwargs)

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, key: Any) -> Tensor:
        key = torch.tensor(key) if isinstance(key, int) else key
        if isinstance(key, slice) or (isinstance(key, Tensor) and key.dim() == 1):
            return self._at(self.positions[key])
        if isinstance(key, Tensor) and key.dtype != torch.bool:
            positions = self.positions[key]
            return self._at(positions.flatten()).read().reshape(*positions.shape, *self.shape[1:])
        return self.read()[key]

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """Other rows, unread; ``dim`` is 0."""
        return self[index]

    def split(self, size: int, dim: int = 0) -> tuple[Tensor, ...]:  # type: ignore[override]
        """Parts of ``size`` rows, unread."""
        return tuple(self[start : start + size] for start in range(0, max(1, len(self)), size))

    def read(self) -> Tensor:
        """The values, as an ordinary tensor."""
        rows = self.stored.select(self.positions) if self.added is None else self._read_both(self.added)
        return rows if self.function is None else self.function(rows)

    def _read_both(self, added: Tensor) -> Tensor:
        size = len(self.stored.rows)
        inside, outside = ((self.positions < size) == which for which in (True, False))
        parts = (self.stored.select(self.positions[inside]), added.index_select(0, self.positions[outside] - size))
        places = torch.cat([inside.nonzero()[:, 0], outside.nonzero()[:, 0]])
        return torch.cat(parts).index_select(0, places.argsort())

    def in_file_order(self) -> LazyRows:
        """The same rows in the order of the file."""
        return self._at(self.positions.sort().values)

    def _at(self, positions: Tensor) -> LazyRows:
        return LazyRows(self.stored, positions, self.added, self.function)

    def then(self, function: Callable[[Tensor], Tensor]) -> LazyRows:
        """These rows with ``function`` applied once they are read."""
        first = self.function
        both = function if first is None else lambda rows: function(first(rows))
        return LazyRows(self.stored, self.positions, self.added, both)

    def replaced(self, places: Tensor, rows: Tensor) -> LazyRows:
        """These rows with others, held in memory, at some places."""
        known = torch.empty(0, *self.shape[1:], dtype=torch.uint8) if self.added is None else self.added
        positions = self.positions.clone()
        positions[places] = len(self.stored.rows) + len(known) + torch.arange(len(rows))
        return LazyRows(self.stored, positions, torch.cat([known, rows]), self.function)


def read(x: Tensor) -> Tensor:
    """The values of lazy rows; any other tensor unchanged."""
    return x.read() if isinstance(x, LazyRows) else x


def _without_lazy_rows(arguments: Any) -> Any:
    """The arguments of a call with all lazy rows read."""
    return tree_map_only(LazyRows, LazyRows.read, arguments)


def extremes(x: Tensor, size: int) -> Tensor:
    """The least and greatest value at each place of an example, [2, *x_shape], over N > 0 examples.

    Lazy rows are read ``size`` at a time, and only once.
    """
    if not isinstance(x, LazyRows):
        return torch.stack([x.amin(0), x.amax(0)])
    if x.extremes is None:
        least, greatest = x[0], x[0]
        for part in x.in_file_order().split(size):
            values = read(part)
            # In place: small results kept between large parts would fragment the memory.
            torch.minimum(least, values.amin(0), out=least)
            torch.maximum(greatest, values.amax(0), out=greatest)
        x.extremes = torch.stack([least, greatest])
    return x.extremes
