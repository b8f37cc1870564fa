"""Hydra's plugins of vae_hydra: ``hydra/sweeper=grids``, and the launchers of ``hydra/launcher=submitit_...``."""

from vae_hydra.studies.sweep.submitit_launcher import LocalLauncher, SlurmLauncher
from vae_hydra.studies.sweep.sweeper import GridSweeper


class Grids(GridSweeper):
    """``GridSweeper`` under the name that configurations give it."""


class Slurm(SlurmLauncher):
    """``SlurmLauncher`` under the name that configurations give it."""


class Local(LocalLauncher):
    """``LocalLauncher`` under the name that configurations give it."""
