"""Checkpoints: read without running code from them, and rebuilt into modules."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from vae_hydra.base.integrity import check_archive
from vae_hydra.base.system_errors import first_line
from vae_hydra.data.noise import Noise
from vae_hydra.model.vae import VAE
from vae_hydra.runs.build import build_module, build_noise, build_test_noises, build_vae
from vae_hydra.runs.compatibility import check_same_mode
from vae_hydra.runs.folder import CHECKPOINTS, Run
from vae_hydra.runs.nodes import Config
from vae_hydra.runs.trust import check_config, from_stored
from vae_hydra.runs.upgrade import upgrade_description
from vae_hydra.training.module import CHECKPOINT_KEY, VAEModule, vae_weights


def find_checkpoint(path: str | Path, which: str | None = None, key: str = "run") -> Path:
    """The checkpoint file at ``path``, or that of the run in the folder ``path``.

    Args:
        path: a checkpoint file, or a run's folder.
        which: ``best`` or ``last`` of a run; None for the best if validation chose one.
        key: the option that gave ``path``, for the error.

    Raises:
        ValueError: if there is no such file, run or checkpoint.
    """
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f"{key} must be a run's folder or a checkpoint, but got {path!r}")
    place = Path(path).expanduser()
    return place if place.is_file() else Run.open(place, key=key).checkpoint_path(which)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint file, its description in today's terms.

    Raises:
        ValueError: if the file is missing, cut short, holds more than tensors and plain values, or was not written by
            vae_hydra.
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
    return {**checkpoint, CHECKPOINT_KEY: upgrade_description(checkpoint[CHECKPOINT_KEY])}


def _is_ours(checkpoint: Any) -> bool:
    description = checkpoint.get(CHECKPOINT_KEY) if isinstance(checkpoint, dict) else None
    is_described = isinstance(description, dict) and {"config", "x_shape"} <= description.keys()
    return is_described and isinstance(checkpoint.get("state_dict"), dict)


def _instead_of(path: Path) -> str:
    """The remedy for a damaged checkpoint."""
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


def rebuild(
    checkpoint: Mapping[str, Any],
    trust: str | Sequence[str] = (),
    test_noises: Sequence[Noise] | None = None,
    others: Config | None = None,
) -> VAEModule:
    """The module that ``checkpoint`` was saved from, with its weights, ready to evaluate.

    Args:
        checkpoint: as ``read_checkpoint`` returns it.
        trust: packages besides torch's and our own that its configuration may name.
        test_noises: noises to test with; None for the noise of training and ``others``.
        others: further noises to test with, as in a configuration's ``test_noises``; None for those of its own.

    Raises:
        ValueError: for a target that is not trusted, weights of another architecture, or a noise of another mode.
    """
    description = checkpoint[CHECKPOINT_KEY]
    config = description["config"]
    check_config(config, trust)
    if test_noises is None and others is not None:
        # The user's own, which may name more than a stored configuration.
        test_noises = build_test_noises({**config, "test_noises": others})
    with from_stored(trust):
        noise = build_noise(config)
        vae = build_vae(config, description["x_shape"], noise, description["classes"])
        test_noises = build_test_noises(config) if test_noises is None else test_noises
        for one in test_noises:
            check_same_mode(one, noise)
        # Without optimizer and data a stranger's configuration can name fewer things.
        module = build_module(config, vae, noise, description, [one for one in test_noises if not one.is_none])
    module.on_load_checkpoint(dict(checkpoint))
    if any(parameter.dtype == torch.float64 for parameter in vae.parameters()):
        module.double()  # as Lightning did in training
    load_weights(vae, checkpoint)
    return module.eval()


def load_weights(vae: VAE, checkpoint: Mapping[str, Any]) -> None:
    """Put the model weights of ``checkpoint`` into ``vae``; ValueError if they are of another architecture."""
    try:
        vae.load_state_dict(vae_weights(checkpoint))
    except RuntimeError as error:
        details = "\n".join(str(error).splitlines()[1:6])
        raise ValueError(f"the checkpoint's weights are of another architecture:\n{details}") from error
