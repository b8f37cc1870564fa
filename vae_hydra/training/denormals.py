"""Numbers below the normal range of single precision."""

from __future__ import annotations

import torch


def flush_denormals(flush: bool) -> None:
    """Let the CPU take numbers below 1e-38 for 0, during a step of the optimizer, or not.

    Adam's averages of units that have stopped learning decay to such denormal numbers, which a CPU multiplies many
    times slower than others. They change no weight. Elsewhere they stay, for densities far in a tail.
    """
    torch.set_flush_denormal(flush)
