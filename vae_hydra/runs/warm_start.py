"""A new run from another run's weights and options."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from vae_hydra.model.vae import VAE
from vae_hydra.runs.checkpoint import read_checkpoint
from vae_hydra.runs.folder import Run
from vae_hydra.runs.rebuild import vae_weights
from vae_hydra.runs.trust import check_config
from vae_hydra.training.module import CHECKPOINT_KEY

# What is taken over from the other run: what its model and data are, and how the weights were learnt. Everything else
# is this command's own, above all where files go: the checkpoint may come from someone else.
INHERITED = (
    "model",
    "sampler",
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
    # Of an experiment that is published; objective.kl_reduction is looked up in it.
    "published_kl_reduction",
)
Config = dict[str, Any]


class Start(NamedTuple):
    """What a run starts from: a checkpoint, where it is, and how its weights fit."""

    checkpoint: Mapping[str, Any]
    path: Path
    fitting: int
    misfits: list[str]


def read_source(init_from: str) -> tuple[Path, dict[str, Any]]:
    """The checkpoint that ``init_from`` names, a run's folder (its best, else its last) or a checkpoint by itself.

    Raises:
        ValueError: if there is none, or it is damaged.
    """
    path = Path(init_from).expanduser()
    path = path if path.is_file() else Run.open(path, key="init_from").checkpoint_path()
    return path, read_checkpoint(path)


def inherit(config: DictConfig, default: DictConfig, overrides: Sequence[str]) -> Config:
    """The options of the run ``config.init_from``, and on top those that were typed.

    A group that was chosen (``sampler=normal``) replaces the other run's, a value replaces its value, and so does
    what either stands for elsewhere: another activation is that of encoder and decoder too. Only the groups of
    ``INHERITED`` are taken over, and of a dataset neither where its files are nor whether to fetch them. With
    ``experiment=…`` nothing is taken over: it has options for all.

    Args:
        config: as composed from what was typed, interpolations and all.
        default: as composed from nothing.
        overrides: what was typed.

    Raises:
        ValueError: if ``init_from`` names no run, or its options name code that is not trusted.
    """
    typed = _resolved(config)
    keys = [_key(override) for override in overrides]
    _, checkpoint = read_source(typed["init_from"])
    if "experiment" in keys:
        return typed
    saved = checkpoint[CHECKPOINT_KEY]["config"]
    taken = {key: copy.deepcopy(saved[key]) for key in INHERITED if key in saved}
    check_config(taken, typed["trust"])
    result = {**typed, **taken}
    _place_data_here(result["dataset"], typed["dataset"])
    plain_default = dict(_leaves(_resolved(default)))
    changed = [path for path, value in _leaves(typed) if plain_default.get(path, ...) != value]
    for path in [*keys, *_standing_for(config, keys), *changed]:
        _copy(typed, result, path)
    return result


def start_from(vae: VAE, init_from: str) -> Start:
    """Put those weights of a run or checkpoint into ``vae`` whose names and shapes fit.

    Raises:
        ValueError: if there is no such run or checkpoint, or nothing of it fits.
    """
    path, checkpoint = read_source(init_from)
    given, wanted = vae_weights(checkpoint), vae.state_dict()
    fitting = {name: value for name, value in given.items() if name in wanted and wanted[name].shape == value.shape}
    if not fitting:
        raise ValueError(f"init_from={init_from}: none of its {len(given)} weights fit this model")
    vae.load_state_dict(fitting, strict=False)
    return Start(checkpoint, path, len(fitting), _misfits(given, wanted))


class KeepOptimizer(Callback):
    """Begin training with the optimizer state of a checkpoint: its moments, at this run's own learning rate.

    Args:
        checkpoint: whose optimizer state it is.
        vae: the model that is trained.

    Raises:
        ValueError: if the state is that of parameters of other shapes.
    """

    def __init__(self, checkpoint: Mapping[str, Any], vae: VAE) -> None:
        self._state = checkpoint["optimizer_states"][0]["state"]
        _check_state_fits(self._state, list(vae.parameters()))

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.global_step:
            return  # a run that goes on has its own
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


def _key(override: str) -> str:
    """The dotted path that a typed override is about."""
    group, _, package = override.lstrip("+~").split("=")[0].partition("@")
    return (package or group).replace("/", ".")


def _standing_for(config: DictConfig, keys: Sequence[str]) -> list[str]:
    """Paths of values that are written as an interpolation of one of ``keys``, or of something within."""
    raw: Any = OmegaConf.to_container(config, resolve=False)
    marks = [f"${{{key}{end}" for key in keys for end in ("}", ".")]
    return [path for path, value in _leaves(raw) if isinstance(value, str) and any(mark in value for mark in marks)]


def _leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _copy(source: Config, target: Config, path: str) -> None:
    """Make ``target`` at a dotted path what ``source`` is there: another value, or none."""
    *parents, leaf = path.split(".")
    for parent in parents:
        source = source.get(parent, {})
        if not isinstance(source, dict):
            return
        if not isinstance(target.get(parent), dict):
            target[parent] = {}
        target = target[parent]
    if leaf in source:
        target[leaf] = copy.deepcopy(source[leaf])
    else:
        target.pop(leaf, None)


def _place_data_here(dataset: Config, typed: Config) -> None:
    """Look for the files of ``dataset`` where ``typed`` says, else where they usually are; fetch them only if typed."""
    here = {"root": os.environ.get("VAE_HYDRA_DATA", "data"), "download": False}
    for node in (dataset, dataset.get("source")):
        for option, usual in here.items():
            if isinstance(node, dict) and option in node:
                node[option] = typed.get(option, usual)


def _resolved(config: DictConfig) -> Config:
    return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[return-value]
