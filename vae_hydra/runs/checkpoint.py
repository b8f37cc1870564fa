"""Checkpoints, read without running any code from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from vae_hydra.base.integrity import check_archive
from vae_hydra.base.system_errors import first_line
from vae_hydra.runs.folder import CHECKPOINTS
from vae_hydra.runs.upgrade import upgrade
from vae_hydra.training.module import CHECKPOINT_KEY


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, loaded without running any code from it.

    Raises:
        ValueError: for a file that is missing, cut short, holds more than tensors and plain values, or
            was not written by vae_hydra.
    """
    if not path.is_file():
        raise ValueError(f"there is no checkpoint {path}")
    try:
        path.open("rb").close()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    try:
        check_archive(path)
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = first_line(error)
        raise ValueError(
            f"{path} cannot be read as a checkpoint; it is damaged or not one ({reason}). {_instead_of(path)}"
        ) from error
    if not _is_ours(checkpoint):
        raise ValueError(f"{path} was not written by vae_hydra: it holds no configuration and weights")
    description = checkpoint[CHECKPOINT_KEY]
    return {**checkpoint, CHECKPOINT_KEY: {**description, "config": upgrade(description["config"])}}


def _is_ours(checkpoint: Any) -> bool:
    description = checkpoint.get(CHECKPOINT_KEY) if isinstance(checkpoint, dict) else None
    is_described = isinstance(description, dict) and {"config", "x_shape"} <= description.keys()
    return is_described and isinstance(checkpoint.get("state_dict"), dict)


def _instead_of(path: Path) -> str:
    """What to do without a checkpoint that is damaged."""
    best, last = (path.with_name(f"{which}.ckpt") for which in CHECKPOINTS)
    if path.name == best.name:
        return f"Delete {path.parent} to train the run anew" + (
            f", or use the weights of its last epoch: checkpoint=last, init_from={last}" if last.is_file() else ""
        )
    if path.name == last.name:
        return "Delete it to train the run from the start" + (
            f", or copy {best} over it to go on from the best epoch" if best.is_file() else ""
        )
    return "Get another copy of it"
