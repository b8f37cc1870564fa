"""Checkpoint → module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vae_hydra.data.noise import Noise
from vae_hydra.model.vae import VAE
from vae_hydra.runs.build import _module, build_noise, build_test_noises, build_vae
from vae_hydra.runs.compatibility import check_same_mode
from vae_hydra.runs.nodes import Config
from vae_hydra.runs.trust import check_config
from vae_hydra.training.module import CHECKPOINT_KEY, VAEModule


def rebuild(
    checkpoint: Mapping[str, Any],
    trust: str | Sequence[str] = (),
    test_noises: Sequence[Noise] | None = None,
    others: Config | None = None,
) -> VAEModule:
    """The module that ``checkpoint`` was saved from, with its weights, ready to evaluate.

    Args:
        checkpoint: as loaded by ``run.read_checkpoint``.
        trust: packages besides torch's and our own that its configuration may name.
        test_noises: noises to test with; None for its own and the others.
        others: options of those, as a configuration's ``test_noises`` has them; None for what its own says.

    Raises:
        ValueError: for a target that is not allowed, weights of another architecture, or a noise of
            another mode.
    """
    description = checkpoint[CHECKPOINT_KEY]
    config = description["config"]
    check_config(config, trust)
    noise = build_noise(config)
    vae = build_vae(config, description["x_shape"], noise, description.get("classes", 0))
    if test_noises is None:
        test_noises = build_test_noises(config if others is None else {**config, "test_noises": others})
    for one in test_noises:
        check_same_mode(one, noise)
    # No optimizer, no data: fewer things that a stranger's configuration could name.
    module = _module(config, vae, noise, description, [one for one in test_noises if not one.is_none])
    module.on_load_checkpoint(dict(checkpoint))
    if any(parameter.dtype == torch.float64 for parameter in vae.parameters()):
        module.double()  # as Lightning did, so that it is scored as it was trained
    load_weights(vae, checkpoint)
    return module.eval()


def load_weights(vae: VAE, checkpoint: Mapping[str, Any]) -> None:
    """Put the model weights of ``checkpoint`` into ``vae``; ValueError if they are of another architecture."""
    try:
        vae.load_state_dict(vae_weights(checkpoint))
    except RuntimeError as error:
        details = "\n".join(str(error).splitlines()[1:6])
        raise ValueError(f"the checkpoint's weights are of another architecture:\n{details}") from error


def vae_weights(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The model weights of ``checkpoint`` by their names in the model."""
    state = checkpoint["state_dict"]
    return {name.removeprefix("vae."): value for name, value in state.items() if name.startswith("vae.")}
