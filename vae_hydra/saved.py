"""A saved run, opened for the commands that take one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vae_hydra.build import build_data, build_evaluation_trainer, rebuild
from vae_hydra.data import DataModule
from vae_hydra.module import VAEModule
from vae_hydra.noise import Noise
from vae_hydra.run import Run, read_checkpoint


class Saved(NamedTuple):
    """A run, the checkpoint that was chosen, and the module it holds, ready to evaluate."""

    run: Run
    checkpoint: Path
    module: VAEModule


def open_saved(
    config: Mapping[str, Any], test_noises: Sequence[Noise] | None = None, others: Mapping[str, Any] | None = None
) -> Saved:
    """The run that ``config`` names, which has what ``conf/_saved.yaml`` lists.

    Args:
        config: resolved configuration of a command.
        test_noises, others: as for ``build.rebuild``.

    Raises:
        ValueError: if it is no run, or its checkpoint cannot be rebuilt.
    """
    run = Run.open(config["run"])
    checkpoint = run.checkpoint_path(config["checkpoint"])
    module = rebuild(read_checkpoint(checkpoint), config["trust"], test_noises, others)
    device = build_evaluation_trainer(config["accelerator"]).strategy.root_device
    return Saved(run, checkpoint, module.to(device))


def data_of(saved: Saved, root: str | None = None) -> DataModule:
    """The data that the run was trained on; ``root`` is where its files are now, None for where they were."""
    # A checkpoint from someone else must not make us fetch things.
    location = {"download": False} if root is None else {"download": False, "root": root}
    return build_data(saved.module.description["config"], **location)


def value_range(saved: Saved, root: str | None = None) -> tuple[float, float]:
    """The least and the greatest value of the run's data, which they need not be there for."""
    known = saved.module.description.get("value_range")
    # Runs from before it was written down need their data.
    low, high = known or data_of(saved, root).value_range()
    return float(low), float(high)
