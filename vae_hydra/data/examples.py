"""Labelled examples in memory, and a dataset of them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Examples:
    """Examples x [N, *x_shape] (uint8, float32, or bool if binarised) and their class labels y [N].

    Labels are int64 and count from 0; −1 stands for a hidden label.
    """

    x: Tensor
    y: Tensor

    def __getitem__(self, index: Tensor) -> Examples:
        return Examples(self.x[index], self.y[index])

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Source:
    """A dataset: the result of a source function.

    Attributes:
        train, test: examples as stored.
        scale: factor from stored values to the model's range, e.g. 1/255.
    """

    train: Examples
    test: Examples
    scale: float = 1.0
