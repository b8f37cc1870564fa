"""What a sweep logs of its runs, wherever they are logged: a row a run, the means over seeds, and figures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vae_hydra.studies.reporting import as_frame, collect, pivot
from vae_hydra.studies.reporting.compared import compared
from vae_hydra.studies.reporting.pivots import measured
from vae_hydra.studies.reporting.write import draw

if TYPE_CHECKING:
    import pandas as pd

    from vae_hydra.studies.reporting.figures import Drawn

# Metrics with a pivot, where runs have them.
METRICS = ("reconstruct/clean/half_sse", "denoise/own/half_sse", "reconstruct/clean/elbo", "reconstruct/clean/kl")


@dataclass(frozen=True)
class SweepTable:
    """The tables and figures of a report.

    Attributes:
        results: a row a run, with None for what a run lacks.
        pivots: the means over seeds of a metric, by its name.
        figures: those of a report.
    """

    results: pd.DataFrame
    pivots: dict[str, pd.DataFrame]
    figures: list[Drawn]


def table_id(folder: Path) -> str:
    """The name of the table of the sweep in ``folder``; sweeps of one name in several folders have several."""
    place = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]
    return f"{folder.name}-table-{place}"


def sweep_table(folder: Path, runs: Sequence[Path]) -> SweepTable:
    """The table of ``runs``, which belong to the sweep of ``folder``."""
    results = collect([folder, *runs], with_debug=True)
    found = set(measured(results.frame))
    pivots = [pivot(results.frame, metric) for metric in METRICS if metric in found]
    return SweepTable(
        results.frame.astype(object).where(results.frame.notna(), None),
        {one.metric: as_frame(one) for one in pivots},
        draw(results, pivots, compared(results.frame)),
    )
