"""Run folders → one table, its pivots, figures and a page; without torch, a dataset or a checkpoint."""

from vae_hydra.studies.reporting.pivots import Pivot, pivot
from vae_hydra.studies.reporting.results import Results, collect, results
from vae_hydra.studies.reporting.tables import as_frame, latex, markdown

__all__ = ["Pivot", "Results", "as_frame", "collect", "latex", "markdown", "pivot", "results"]
