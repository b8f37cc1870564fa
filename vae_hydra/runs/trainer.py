"""Configuration → trainer, and the device of scoring."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric import Fabric
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.profilers import AdvancedProfiler, SimpleProfiler

from vae_hydra.data.datamodule import DataModule
from vae_hydra.runs.compatibility import check_trainer_options, warn_of_busy_cores, warn_of_slow_options
from vae_hydra.runs.devices import check_devices
from vae_hydra.runs.nodes import Config, make, naming, node_at
from vae_hydra.training.callbacks.checkpoints import AtomicCheckpointIO, Checkpoints


def build_trainer(
    config: Config, data: DataModule, folder: Path, run_id: str, extra_callbacks: Iterable[Callback] = ()
) -> L.Trainer:
    """The trainer of ``config`` for ``data``; it writes into ``folder``, which need not exist yet.

    Loggers recognise a restarted run by ``run_id``.

    Raises:
        ValueError: for options that Lightning refuses, or that exclude a scored run.
    """
    options = dict(node_at(config, "trainer"))
    loggers = [
        make(f"logger.{key}", node, folder=folder, run_id=run_id)
        for key, node in node_at(config, "logger").items()
        if node
    ]
    check_trainer_options(options, config)
    check_devices(options)
    options |= {"profiler": _profiler(options["profiler"], folder)} if "profiler" in options else {}
    if not data.has_validation:
        options["limit_val_batches"] = 0
    callbacks = build_callbacks(config, validates=options.get("limit_val_batches") != 0)
    with naming("trainer"):
        trainer = L.Trainer(
            **options,
            # The module takes each device's share of a whole batch.
            use_distributed_sampler=False,
            default_root_dir=folder,
            callbacks=[*callbacks, *extra_callbacks],
            logger=loggers,
            plugins=[AtomicCheckpointIO()],
        )
    if trainer.world_size > 1 and config.get("compile"):
        raise ValueError(
            "compile=true compiles the step of one device, not the shared draws of several; use compile=false, or "
            "trainer.devices=1"
        )
    processor = trainer.strategy.root_device.type
    warn_of_busy_cores(trainer.num_devices, processor)
    warn_of_slow_options(config, processor)
    return trainer


def _profiler(kind: Any, folder: Path) -> Any:
    """Lightning's profiler of that name, which writes its table into profile/ of the run's folder."""
    kinds = {"simple": SimpleProfiler, "advanced": AdvancedProfiler}
    return kinds[kind](dirpath=folder / "profile", filename="profile") if kind in kinds else kind


def build_callbacks(config: Config, validates: bool) -> list[Callback]:
    """The callbacks of ``config``; ValueError for callbacks that exclude a scored run."""
    callbacks = [make(f"callbacks.{key}", node) for key, node in node_at(config, "callbacks").items() if node]
    _check_callbacks(callbacks, validates)
    # Those that draw come last, after the epoch's metrics are known.
    return sorted(callbacks, key=lambda callback: hasattr(callback, "draw_run"))


def build_evaluation_trainer(accelerator: str) -> L.Trainer:
    """A trainer that scores on one device and writes nothing."""
    with naming("accelerator"):
        return L.Trainer(
            accelerator=accelerator,
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )


def choose_device(accelerator: str) -> torch.device:
    """The device that Lightning chooses for ``accelerator``; ValueError if there is none."""
    check_devices({"accelerator": accelerator}, group="")
    with naming("accelerator"):
        return Fabric(accelerator=accelerator, devices=1).device


def _check_callbacks(callbacks: Sequence[Callback], validates: bool) -> None:
    if not any(isinstance(callback, Checkpoints) for callback in callbacks):
        raise ValueError("callbacks.checkpoints cannot be left out: a run is scored and resumed from its checkpoints")
    for callback in callbacks:
        if isinstance(callback, EarlyStopping) and callback.monitor.startswith("val/") and not validates:
            raise ValueError(
                f"early stopping watches {callback.monitor}, but there are no examples to validate on; "
                "set dataset.validation=0.1, or callbacks.early_stopping.monitor=train/loss"
            )
