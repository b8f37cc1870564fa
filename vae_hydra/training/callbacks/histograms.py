"""Histograms of the weights, for W&B and TensorBoard."""

from __future__ import annotations

import lightning as L
from lightning.pytorch.callbacks import Callback

from vae_hydra.base import checks
from vae_hydra.training.loggers import RunLogger


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
            named = pl_module.named_parameters()
            values = {f"parameters/{name.removeprefix('vae.')}": p.detach().float().cpu() for name, p in named}
            for logger in trainer.loggers:
                if isinstance(logger, RunLogger):
                    logger.log_histograms(values, trainer.global_step)
