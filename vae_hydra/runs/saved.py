"""A saved run, opened for the commands that take one."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vae_hydra.data.datamodule import DataModule
from vae_hydra.data.noise import Noise
from vae_hydra.runs.build import build_data
from vae_hydra.runs.checkpoint import read_checkpoint
from vae_hydra.runs.folder import Run
from vae_hydra.runs.rebuild import rebuild
from vae_hydra.runs.trainer import choose_device
from vae_hydra.training.module import VAEModule

log = logging.getLogger(__name__)


class Saved(NamedTuple):
    """A run, the checkpoint that was chosen, and the module it holds, ready to evaluate."""

    run: Run
    checkpoint: Path
    module: VAEModule


def open_run(
    run: str | Path,
    checkpoint: str | None = None,
    trust: str | Sequence[str] = (),
    accelerator: str = "auto",
    test_noises: Sequence[Noise] | None = None,
    others: Mapping[str, Any] | None = None,
) -> Saved:
    """The run in a folder, wherever that is now.

    Args:
        run: its folder.
        checkpoint: ``best`` or ``last``; None for the best if validation chose one.
        trust: packages besides vae_hydra's and torch's own that its configuration may name.
        accelerator: where the model is put, as Lightning names it.
        test_noises, others: as for ``build.rebuild``.

    Raises:
        ValueError: if it is no run, or its checkpoint cannot be rebuilt.
    """
    opened = Run.open(run)
    path = opened.checkpoint_path(checkpoint)
    module = rebuild(read_checkpoint(path), trust, test_noises, others)
    return Saved(opened, path, module.to(choose_device(accelerator)))


def open_saved(config: Mapping[str, Any], **tested: Any) -> Saved:
    """The run that ``config`` names, the configuration of a command with what ``conf/_saved.yaml`` lists.

    ``tested`` and errors as for ``open_run``.
    """
    return open_run(config["run"], config["checkpoint"], config["trust"], config["accelerator"], **tested)


def data_of(saved: Saved, root: str | None = None) -> DataModule:
    """The data that the run was trained on; ``root`` is where its files are now, None for where they were."""
    if root is not None and not isinstance(root, str):
        raise ValueError(f"dataset_root must be a folder, but got {root!r}")
    if root is not None and not Path(root).expanduser().is_dir():
        # Data that are read from there are missed where they are loaded; others come with a package.
        log.warning("dataset_root=%s is no folder that is there", root)
    # A checkpoint from someone else must not make us fetch things.
    location = {"download": False} if root is None else {"download": False, "root": root}
    return build_data(saved.module.description["config"], **location)


def value_range(saved: Saved, root: str | None = None) -> tuple[float, float]:
    """The least and the greatest value of the run's training data, which they need not be there for."""
    known = saved.module.description.get("value_range")
    # Runs from before it was written down need their data.
    low, high = known or data_of(saved, root).value_range()
    return float(low), float(high)
