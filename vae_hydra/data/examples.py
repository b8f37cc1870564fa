"""Labelled examples in memory, and a dataset of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Examples:
    """Examples x [N, *x_shape] (uint8, float32, or bool if binarised) and their class labels y [N].

    Labels are int64 and count from 0; −1 stands for a hidden label. Examples on disk have ``LazyRows`` as x.
    """

    x: Tensor
    y: Tensor

    def __getitem__(self, index: Tensor) -> Examples:
        """The examples at positions [n]."""
        # index_select copies images whole, five times as fast as indexing.
        return Examples(self.x.index_select(0, index), self.y[index])

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Table:
    """The table behind examples that are vectors.

    Attributes:
        columns: names of the values of a row.
        window: number of rows in an example.
        label: name of the column of classes; None without one.
        classes: the classes' values in that column, by label.
        digest: SHA-256 of the file.
    """

    columns: list[str]
    window: int
    label: str | None
    classes: list[str]
    digest: str

    @property
    def value_names(self) -> list[str]:
        """Names of the values of an example: those of the columns, for a window NAME[0], NAME[1], … by row."""
        if self.window == 1:
            return list(self.columns)
        return [f"{name}[{row}]" for row in range(self.window) for name in self.columns]


@dataclass(frozen=True)
class Margin:
    """The distribution of one column, as far as it is known.

    Attributes:
        tail_index: α of P(|x| > t) ~ t^(−α), that of the heavier side; inf for tails lighter than any power.
        quantile: probability in (0, 1) → the value with this share of the distribution below.
    """

    tail_index: float
    quantile: Callable[[float], float]


class TrueMargins:
    """The distributions of the columns that examples were drawn from, in the units of the source.

    Args:
        margins: of each column.

    Attributes:
        tail_index: ``Margin.tail_index`` of each column.
    """

    def __init__(self, margins: Sequence[Margin]) -> None:
        self._margins = tuple(margins)
        self.tail_index = [margin.tail_index for margin in self._margins]

    def quantile(self, probability: float, column: int) -> float:
        """The value with a share ``probability`` of the distribution of a column below.

        Raises:
            ValueError: for a probability outside (0, 1).
        """
        if not 0 < probability < 1:
            raise ValueError(f"probability must be a number in (0, 1), but got {probability!r}")
        return float(self._margins[column].quantile(probability))


@dataclass(frozen=True)
class Source:
    """A dataset: the result of a source function.

    Attributes:
        train, test: examples as stored.
        scale: factor from stored values to the model's range, e.g. 1/255.
        validation: examples for validation; None to take a share of ``train``.
        in_order: whether that share are the last examples, because their order is that of time.
        gap: number of examples to leave out before those, which share values with them.
        table: the table that the examples come from, if they do.
        truth: the distributions of the columns, of examples that were drawn from known ones.
        digest: SHA-256 that tells the user's own files from others; None for published data and tables.
    """

    train: Examples
    test: Examples
    scale: float = 1.0
    validation: Examples | None = None
    in_order: bool = False
    gap: int = 0
    table: Table | None = None
    truth: TrueMargins | None = None
    digest: str | None = None
