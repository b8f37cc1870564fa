"""Labelled examples in memory."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Examples:
    """Examples x [N, *x_shape], uint8, float32 or, where they are binarised, bool, and their class labels y [N].

    Labels are int64 and count from 0; −1 is a label that is kept from the model.
    """

    x: Tensor
    y: Tensor

    def __getitem__(self, index: Tensor) -> Examples:
        return Examples(self.x[index], self.y[index])

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Source:
    """What a dataset function returns.

    Attributes:
        train, test: examples as stored.
        scale: factor that takes stored values to the model's range, e.g. 1/255.
    """

    train: Examples
    test: Examples
    scale: float = 1.0
