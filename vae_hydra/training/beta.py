"""Schedules of β, the weight of the KL: step or epoch → β."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from vae_hydra.base import checks

UNITS = ("step", "epoch")


class BetaSchedule(ABC):
    """β as a function of t, the number of completed optimizer steps or epochs: the first has t = 0.

    Attributes:
        unit: unit of t, ``step`` or ``epoch``.
        final: β at the end of training; validation and the choice of best.ckpt use it throughout.
        last: t of the last step or epoch, one less than their number; infinite until training sets it.
    """

    final: float
    unit: str = "step"
    last: float = math.inf

    @abstractmethod
    def __call__(self, t: int) -> float:
        """β ≥ 0 at time t ≥ 0."""

    def at(self, step: int, epoch: int) -> float:
        """β after ``step`` completed optimizer steps, in epoch ``epoch``."""
        return self(step if self.unit == "step" else epoch)

    def is_final(self, step: int, epoch: int) -> bool:
        """Whether the latest of ``step`` completed optimizer steps, in epoch ``epoch``, had the final β."""
        return math.isclose(self.at(max(step - 1, 0), epoch), self.final)

    def remark(self) -> str | None:
        """A message for the user once ``last`` is known; None without one."""
        return None


class Constant(BetaSchedule):
    """β = ``value`` throughout.

    >>> Constant(0.5)(100)
    0.5
    """

    def __init__(self, value: float = 1.0) -> None:
        self.final = checks.non_negative("beta.value", value)

    def __call__(self, t: int) -> float:
        return self.final


class Ramp(BetaSchedule):
    """β(t) = start + (end − start)·shape(min(t / duration, 1)), with ``duration`` at most ``last``.

    The first epoch (or step) has β = start. β = end comes after ``duration`` of them, and at the latest in the last
    one: 20 epochs with a duration of 20 or more rise over t = 0 … 19. A single epoch has β = end.

    Args:
        start, end: β before and after the ramp, each ≥ 0.
        duration: length of the ramp in ``unit``, > 0.
        unit: ``step`` or ``epoch``.
        shape: ``linear`` p; ``cosine`` (1 − cos πp)/2; ``sigmoid``, a logistic curve of slope 12
            through (½, ½), rescaled to run from 0 to 1.

    >>> ramp = Ramp(start=0.0, end=1.0, duration=4)
    >>> [ramp(t) for t in range(6)]
    [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """

    def __init__(
        self, start: float = 0.0, end: float = 1.0, duration: float = 20, unit: str = "epoch", shape: str = "linear"
    ) -> None:
        self.start = checks.non_negative("beta.start", start)
        self.final = checks.non_negative("beta.end", end)
        self.duration = checks.positive("beta.duration", duration)
        self.unit = checks.one_of("beta.unit", unit, UNITS)
        self.shape = SHAPES[checks.one_of("beta.shape", shape, SHAPES)]

    def __call__(self, t: int) -> float:
        return self._risen(t, self.duration, self.last)

    def remark(self) -> str | None:
        """A message if training shortens the ramp by more than one step or epoch."""
        if self.duration <= self.last + 1 or self.last < 1:
            return None
        return (
            f"beta     rises over {self.last:g} {self.unit}s: beta.duration={self.duration:g} is longer than training"
        )

    def _risen(self, t: float, length: float, last: float) -> float:
        """β at t of a ramp with the given ``length``, or up to ``last`` if that is shorter."""
        length = min(length, last)
        progress = min(t / length, 1.0) if length > 0 else 1.0
        return self.start + (self.final - self.start) * self.shape(progress)


class Cyclical(Ramp):
    """A ramp that restarts every ``duration`` and holds its end for the rest of each cycle.

    If training would cut off the last rise, it is shortened as in ``Ramp``: β = end in the last epoch (or step).

    Args:
        rise: share of a cycle with rising β, in (0, 1]; the others as for ``Ramp``.

    Source: Fu et al., "Cyclical annealing schedule: a simple approach to mitigating KL vanishing", 2019.

    >>> beta = Cyclical(start=0.0, end=1.0, duration=4, rise=0.5)
    >>> [beta(t) for t in range(6)]
    [0.0, 0.5, 1.0, 1.0, 0.0, 0.5]
    """

    def __init__(
        self,
        start: float = 0.0,
        end: float = 1.0,
        duration: float = 20,
        rise: float = 0.5,
        unit: str = "epoch",
        shape: str = "linear",
    ) -> None:
        super().__init__(start, end, duration, unit, shape)
        if checks.positive("beta.rise", rise) > 1:
            raise ValueError(f"beta.rise must be a number in (0, 1], but got {rise!r}")
        self.rise = rise

    def remark(self) -> str | None:
        """None: cutting off the last cycle is normal."""
        return None

    def __call__(self, t: int) -> float:
        since = t % self.duration
        return self._risen(since, self.duration * self.rise, self.last - (t - since))


def _linear(progress: float) -> float:
    return progress


def _cosine(progress: float) -> float:
    return 0.5 * (1 - math.cos(math.pi * progress))


def _sigmoid(progress: float, slope: float = 12.0) -> float:
    # The logistic function as a tanh, rescaled because it reaches 0 and 1 only at infinity.
    return 0.5 * (1 + math.tanh(slope / 2 * (progress - 0.5)) / math.tanh(slope / 4))


SHAPES = {"linear": _linear, "cosine": _cosine, "sigmoid": _sigmoid}
