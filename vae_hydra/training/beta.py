"""Schedules of β, the weight of the KL term: a step or an epoch → β."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from vae_hydra.base import checks

UNITS = ("step", "epoch")


class BetaSchedule(ABC):
    """β as a function of t, the number of optimizer steps or epochs done so far: t = 0 is the first of them.

    Attributes:
        unit: what t counts, ``step`` or ``epoch``.
        final: the β that training ends with; validation and checkpoints are judged with it.
        last: t of the last step or epoch, which is one less than their number; infinite until training sets it.
    """

    final: float
    unit: str = "step"
    last: float = math.inf

    @abstractmethod
    def __call__(self, t: int) -> float:
        """β ≥ 0 at time t ≥ 0."""

    def remark(self) -> str | None:
        """What a user should know of the schedule once ``last`` is known; None if there is nothing."""
        return None


class Constant(BetaSchedule):
    """β = ``value`` throughout."""

    def __init__(self, value: float = 1.0) -> None:
        self.final = checks.non_negative("beta.value", value)

    def __call__(self, t: int) -> float:
        return self.final


class Ramp(BetaSchedule):
    """β(t) = start + (end − start)·shape(min(t / duration, 1)), the duration shortened to ``last`` where it is longer.

    The first epoch (or step) has β = start, and β = end is reached after ``duration`` of them, or else in the last.
    So 20 epochs with a duration of 20 or more rise over t = 0 … 19; a single epoch has β = end.

    Args:
        start, end: β before and after the ramp, each ≥ 0.
        duration: length of the ramp in ``unit``, > 0.
        unit: ``step`` or ``epoch``.
        shape: ``linear`` p; ``cosine`` (1 − cos πp)/2; ``sigmoid``, a logistic curve of slope 12
            through (½, ½), rescaled to run from 0 to 1.
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
        """Says that the ramp is shortened by more than the last step or epoch."""
        if self.duration <= self.last + 1 or self.last < 1:
            return None
        return (
            f"beta     rises over {self.last:g} {self.unit}s: beta.duration={self.duration:g} is longer than training"
        )

    def _risen(self, t: float, length: float, last: float) -> float:
        """β at t of a ramp that is ``length`` long, or as long as there is time until ``last``."""
        length = min(length, last)
        progress = min(t / length, 1.0) if length > 0 else 1.0
        return self.start + (self.final - self.start) * self.shape(progress)


class Cyclical(Ramp):
    """A ramp that starts anew every ``duration`` and holds its end for the rest of each cycle.

    A rise that training would cut off is shortened, as that of ``Ramp`` is: β = end in the last epoch (or step).

    Args:
        rise: share of a cycle spent rising, in (0, 1]; the others as for ``Ramp``.

    Source: Fu et al., "Cyclical annealing schedule: a simple approach to mitigating KL vanishing", 2019.
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
        """Nothing: a last cycle may be cut off."""
        return None

    def __call__(self, t: int) -> float:
        since = t % self.duration
        return self._risen(since, self.duration * self.rise, self.last - (t - since))


def _linear(progress: float) -> float:
    return progress


def _cosine(progress: float) -> float:
    return 0.5 * (1 - math.cos(math.pi * progress))


def _sigmoid(progress: float, slope: float = 12.0) -> float:
    # tanh form of the logistic function; rescaled because it reaches 0 and 1 only at infinity.
    return 0.5 * (1 + math.tanh(slope / 2 * (progress - 0.5)) / math.tanh(slope / 4))


SHAPES = {"linear": _linear, "cosine": _cosine, "sigmoid": _sigmoid}
