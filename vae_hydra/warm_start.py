"""A new run from another run's weights and options."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from vae_hydra.build import vae_weights
from vae_hydra.run import Run, read_checkpoint
from vae_hydra.vae import VAE

log = logging.getLogger(__name__)

# Where and how a run is done is not passed on to the runs that start from it.
NOT_INHERITED = ("init_from", "keep_optimizer", "output_dir", "logger", "threads", "dataset.root", "dataset.download")
# What would let a run's record name code to be run.
CODE = ("_target_", "_partial_", "${")


def inherited_overrides(init_from: str) -> list[str]:
    """The options that the run in a folder was started with, as one would type them.

    A checkpoint by itself has none: the options of a run from it are all on the command line.

    Raises:
        ValueError: if there is no such run or checkpoint, or an option names code.
    """
    path = Path(init_from).expanduser()
    if path.is_file():
        return []
    overrides = Run.open(path, key="init_from").record.get("overrides", [])
    kept = [override for override in overrides if not _is_among(override, NOT_INHERITED)]
    for override in kept:
        if any(word in override for word in CODE):
            raise ValueError(
                f"init_from={init_from} was started with {override!r}, which names code and is not taken over unseen; "
                "give one of its checkpoints instead, init_from=RUN/last.ckpt, and all of its options"
            )
    return kept


def start_from(vae: VAE, init_from: str) -> Mapping[str, Any]:
    """Put those weights of a run or checkpoint into ``vae`` whose names and shapes fit, and log what does not.

    Returns:
        The checkpoint.

    Raises:
        ValueError: if there is no such run or checkpoint, or nothing of it fits.
    """
    path = Path(init_from).expanduser()
    path = path if path.is_file() else Run.open(path, key="init_from").checkpoint_path()
    checkpoint = read_checkpoint(path)
    given, wanted = vae_weights(checkpoint), vae.state_dict()
    fitting = {name: value for name, value in given.items() if name in wanted and wanted[name].shape == value.shape}
    if not fitting:
        raise ValueError(f"init_from={init_from}: none of its {len(given)} weights fit this model")
    vae.load_state_dict(fitting, strict=False)
    log.info("weights  %d of %d from %s", len(fitting), len(wanted), path)
    for line in _misfits(given, wanted):
        log.warning("         %s", line)
    return checkpoint


class KeepOptimizer(Callback):
    """Begin training with the optimizer state of a checkpoint: its moments, at this run's own learning rate.

    Args:
        checkpoint: whose optimizer state it is.
    """

    def __init__(self, checkpoint: Mapping[str, Any]) -> None:
        self._state = checkpoint["optimizer_states"][0]["state"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.global_step:
            return  # a run that goes on has its own
        (optimizer,) = trainer.optimizers
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        _check_state_fits(self._state, parameters)
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": self._state, "param_groups": groups})


def _check_state_fits(state: Mapping[int, Mapping[str, Any]], parameters: Sequence[Tensor]) -> None:
    fits = len(state) == len(parameters) and all(
        value.dim() == 0 or value.shape == parameter.shape
        for index, parameter in enumerate(parameters)
        for value in state.get(index, {"missing": torch.empty(0, 0, 0)}).values()
        if isinstance(value, Tensor)
    )
    if not fits:
        raise ValueError(
            "keep_optimizer=true needs a run whose parameters have the same shapes; use keep_optimizer=false"
        )


def _misfits(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    """A line for each weight that starts fresh, and for each that is left unused."""
    fresh = [name for name in wanted if name not in given]
    other = [name for name in wanted if name in given and wanted[name].shape != given[name].shape]
    return [
        *(f"{name} starts fresh: the other run has none" for name in fresh),
        *(
            f"{name} starts fresh: {tuple(wanted[name].shape)} here, {tuple(given[name].shape)} in the other run"
            for name in other
        ),
        *(f"{name} of the other run is not used" for name in given if name not in wanted),
    ]


def _is_among(override: str, keys: Sequence[str]) -> bool:
    key = override.lstrip("+~").split("=")[0].split("@")[0]
    return key.startswith("hydra") or any(key == name or key.startswith(f"{name}.") for name in keys)
