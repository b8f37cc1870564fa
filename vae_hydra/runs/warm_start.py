"""A new run that starts from another run's weights and options."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from vae_hydra.base import nested
from vae_hydra.base.command.configuration import plain
from vae_hydra.base.command.overrides import path_of
from vae_hydra.model.vae import VAE
from vae_hydra.runs.checkpoint import find_checkpoint, read_checkpoint
from vae_hydra.runs.trust import check_config
from vae_hydra.training.module import CHECKPOINT_KEY, vae_weights

# The options that the new run inherits: those of model, data and training. All others come from this command, above all
# the folders to write to, because the checkpoint may come from a stranger.
INHERITED = (
    "model",
    "sampler",
    "prior",
    "likelihood",
    "condition",
    "classifier",
    "dataset",
    "noise",
    "test_noises",
    "objective",
    "beta",
    "optimizer",
    "scheduler",
    "seed",
    # Of published experiments, whose objective.kl_reduction refers to it.
    "published_kl_reduction",
)
Config = dict[str, Any]


class Start(NamedTuple):
    """The start of a run: a checkpoint, its path, and how well its weights fit."""

    checkpoint: Mapping[str, Any]
    path: Path
    fitting: int
    misfits: list[str]


def read_source(init_from: str) -> tuple[Path, dict[str, Any]]:
    """The checkpoint that ``init_from`` names: a file, or that of a run's folder (the best, else the last).

    Raises:
        ValueError: if there is none, or it is damaged.
    """
    path = find_checkpoint(init_from, key="init_from")
    return path, read_checkpoint(path)


def inherit(config: DictConfig, default: DictConfig, overrides: Sequence[str]) -> Config:
    """The options of the run ``config.init_from``, changed by those of the command line.

    A group on the command line (``sampler=normal``) replaces the other run's group, and a value its value. So do their
    copies: another ``model.activation`` is also that of encoder and decoder. Only the groups of ``INHERITED`` are
    inherited; of a dataset, neither the folder of its files nor whether to download them. With ``experiment=…`` nothing
    is inherited, because an experiment sets all options.

    Args:
        config: as composed from ``overrides``, with its interpolations.
        default: as composed without overrides.
        overrides: from the command line.

    Raises:
        ValueError: if ``init_from`` names no run, or its options name code that is not trusted.
    """
    options = plain(config)
    keys = [path_of(override) for override in overrides]
    _, checkpoint = read_source(options["init_from"])
    if "experiment" in keys:
        return options
    saved = checkpoint[CHECKPOINT_KEY]["config"]
    inherited = {key: copy.deepcopy(saved[key]) for key in INHERITED if key in saved}
    check_config(inherited, options["trust"])
    result = {**options, **inherited}
    _place_data_here(result["dataset"], options["dataset"])
    plain_default = nested.flat(plain(default))
    changed = [path for path, value in nested.flat(options).items() if plain_default.get(path, ...) != value]
    for path in [*keys, *_standing_for(config, keys), *changed]:
        _copy(options, result, path)
    return result


def start_from(vae: VAE, init_from: str) -> Start:
    """Load those weights of a run or checkpoint into ``vae`` that fit in name and shape.

    Raises:
        ValueError: if there is no such run or checkpoint, or none of its weights fits.
    """
    path, checkpoint = read_source(init_from)
    given, wanted = vae_weights(checkpoint), vae.state_dict()
    fitting = {name: value for name, value in given.items() if name in wanted and wanted[name].shape == value.shape}
    if not fitting:
        raise ValueError(f"init_from={init_from}: none of its {len(given)} weights fit this model")
    vae.load_state_dict(fitting, strict=False)
    return Start(checkpoint, path, len(fitting), _misfits(given, wanted))


class KeepOptimizer(Callback):
    """Start training with the optimizer's moments of a checkpoint, at this run's own learning rate.

    Args:
        checkpoint: with the optimizer's state.
        vae: the model to train.

    Raises:
        ValueError: if the state does not fit the shapes of the parameters.
    """

    def __init__(self, checkpoint: Mapping[str, Any], vae: VAE) -> None:
        self._state = checkpoint["optimizer_states"][0]["state"]
        _check_state_fits(self._state, list(vae.parameters()))

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.global_step:
            return  # a run that goes on has its own state
        (optimizer,) = trainer.optimizers
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": self._state, "param_groups": groups})


def _check_state_fits(state: Mapping[int, Mapping[str, Any]], parameters: Sequence[Tensor]) -> None:
    moments = [
        (value, parameters[index])
        for index, values in state.items()
        for value in values.values()
        if index < len(parameters) and isinstance(value, Tensor) and value.dim()
    ]
    if len(state) != len(parameters) or any(value.shape != parameter.shape for value, parameter in moments):
        raise ValueError(
            "keep_optimizer=true needs a run whose parameters have the same shapes; use keep_optimizer=false"
        )


def _misfits(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    """A line for each weight that keeps its random start, and for each unused weight of the other run."""
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


def _standing_for(config: DictConfig, keys: Sequence[str]) -> list[str]:
    """Paths of the values that interpolate one of ``keys``, or a path within one."""
    raw: Any = OmegaConf.to_container(config, resolve=False)
    marks = [f"${{{key}{end}" for key in keys for end in ("}", ".")]
    return [
        path
        for path, value in nested.flat(raw).items()
        if isinstance(value, str) and any(mark in value for mark in marks)
    ]


def _copy(source: Config, target: Config, path: str) -> None:
    """Make ``target`` equal to ``source`` at a dotted path: the same value, or none."""
    value = nested.get(source, path, nested.MISSING)
    if value is nested.MISSING:
        nested.delete(target, path)
    else:
        nested.put(target, path, copy.deepcopy(value))


def _place_data_here(dataset: Config, chosen: Config) -> None:
    """Set the place of the data to that in ``chosen``, else to the usual one; download only if ``chosen`` says so."""
    here = {
        "root": os.environ.get("VAE_HYDRA_DATA", "data"),
        "download": False,
        "cache": os.environ.get("VAE_HYDRA_CACHE", "outputs/images"),
        "in_memory": None,
    }
    for node in (dataset, dataset.get("source")):
        for option, usual in here.items():
            if isinstance(node, dict) and option in node:
                node[option] = chosen.get(option, usual)
