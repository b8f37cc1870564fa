"""The histories of many runs in little space: equal series once, and single-precision numbers as base64."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from vae_hydra.training.history import SECONDS, Row

# Numbers in a page, of five characters each.
MOST_NUMBERS = 500_000
# Columns without a curve.
LEFT_OUT = ("epoch", SECONDS)


def curves(histories: Sequence[Sequence[Row]], most: int = MOST_NUMBERS) -> dict[str, Any]:
    """The histories for the script of a page.

    Args:
        histories: the epochs of each run, as metrics.csv has them; empty for a run without.
        most: numbers to keep at most, about. Of longer histories every second, third, … epoch is kept, and the last.

    Returns:
        ``names`` of the columns; ``runs``, for each run None or the numbers of its series, first that of its epochs,
        then one for each name, −1 where it has none; ``ends`` of the series within ``numbers``, which are
        single-precision numbers, little-endian, in base64; ``step``, the distance of epochs that are kept.
    """
    names = sorted({name for history in histories for row in history for name in row} - {*LEFT_OUT})
    packed = _Packed(histories, names, 1)
    step = 1
    while packed.size > most and step < max(map(len, histories)):
        step = max(step + 1, math.ceil(step * packed.size / most))
        packed = _Packed(histories, names, step)
    numbers = base64.b64encode(packed.numbers).decode()
    return {"names": names, "runs": packed.runs, "ends": packed.ends, "numbers": numbers, "step": step}


class _Packed:
    """Series of runs, each once."""

    def __init__(self, histories: Sequence[Sequence[Row]], names: Sequence[str], step: int) -> None:
        self._known: dict[bytes, int] = {}
        self.ends: list[int] = []
        self.size = 0
        self.runs = [self._run(history, names, step) for history in histories]

    @property
    def numbers(self) -> bytes:
        return b"".join(self._known)

    def _run(self, history: Sequence[Row], names: Sequence[str], step: int) -> list[int] | None:
        if not history:
            return None
        kept = [*history[:-1:step], history[-1]]
        columns = [[row.get(name, math.nan) for row in kept] for name in ("epoch", *names)]
        return [self._number(column) for column in columns]

    def _number(self, column: Sequence[float]) -> int:
        with np.errstate(over="ignore"):
            series = np.array(column, dtype="<f4")
        if np.isnan(series).all():
            return -1
        key = series.tobytes()
        if key not in self._known:
            self._known[key] = len(self._known)
            self.size += len(series)
            self.ends.append(self.size)
        return self._known[key]
