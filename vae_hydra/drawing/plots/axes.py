"""Ticks that leave each other room."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

# Decades from which on powers of ten are ticks enough.
DECADES = 2.0


def few_ticks(axis: Any, most: int = 4) -> None:
    """At most so many ticks of a linear axis."""
    axis.set_major_locator(MaxNLocator(most))


def log_ticks(axis: Any, low: float, high: float) -> None:
    """Ticks of a logarithmic axis from ``low`` to ``high``: powers of ten, if few twice and five times those too."""
    if math.log10(high / low) < DECADES:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
