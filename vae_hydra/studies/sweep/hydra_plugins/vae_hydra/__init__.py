"""Hydra's plugin of vae_hydra: ``hydra/sweeper=grids``."""

from vae_hydra.studies.sweep.sweeper import GridSweeper


class Grids(GridSweeper):
    """``GridSweeper`` under the name that configurations give it."""
