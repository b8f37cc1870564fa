"""Histograms of the weights, for W&B and TensorBoard."""

from __future__ import annotations

from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from torch import Tensor

from vae_hydra.base import checks

BINS = 64


class Histograms(Callback):
    """Log a histogram of every parameter to W&B and TensorBoard, as ``parameters/<name>``.

    Args:
        every_n_epochs: number of epochs between two histograms, besides one at the end; 0 for none.
    """

    def __init__(self, every_n_epochs: int = 10) -> None:
        self.every_n_epochs = checks.non_negative_integer("callbacks.histograms.every_n_epochs", every_n_epochs)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self.every_n_epochs or not trainer.is_global_zero:
            return
        epoch = trainer.current_epoch + 1
        if epoch % self.every_n_epochs == 0 or epoch == trainer.max_epochs or trainer.should_stop:
            for logger in trainer.loggers:
                _log(logger, dict(pl_module.named_parameters()), trainer.global_step)


def _log(logger: Any, parameters: dict[str, Tensor], step: int) -> None:
    values = {f"parameters/{name.removeprefix('vae.')}": p.detach().float().cpu() for name, p in parameters.items()}
    if isinstance(logger, WandbLogger):
        import wandb  # takes two seconds

        counts = {name: np.histogram(value.numpy(), bins=BINS) for name, value in values.items()}
        histograms: dict[str, Any] = {name: wandb.Histogram(np_histogram=count) for name, count in counts.items()}
        logger.log_metrics(histograms, step)
    elif isinstance(logger, TensorBoardLogger):
        for name, value in values.items():
            logger.experiment.add_histogram(name, value, step)
