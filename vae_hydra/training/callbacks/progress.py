"""Progress in the terminal or the log, and seconds per epoch."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, TQDMProgressBar

from vae_hydra.base import checks
from vae_hydra.training.history import SECONDS

log = logging.getLogger(__name__)

# Least number of seconds between two lines.
QUIET = 5.0


class Progress(TQDMProgressBar):
    """A progress bar on a terminal; elsewhere a line for about every tenth of the epochs, at most one in 5 seconds.

    Args:
        refresh_rate: number of batches between two updates of the bar; 0 for no bar.
    """

    def __init__(self, refresh_rate: int = 20) -> None:
        checks.non_negative_integer("callbacks.progress.refresh_rate", refresh_rate)
        self.on_terminal = sys.stdout.isatty()
        self._last_line = time.monotonic()
        super().__init__(refresh_rate=refresh_rate if self.on_terminal else 0)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_epoch_start(trainer, pl_module)
        if self.on_terminal or not trainer.is_global_zero:
            return
        epoch, total = trainer.current_epoch, max(1, trainer.max_epochs or 1)
        if epoch % max(1, total // 10) == 0 and epoch and time.monotonic() - self._last_line >= QUIET:
            self._last_line = time.monotonic()
            losses = {n: v.item() for n, v in trainer.callback_metrics.items() if n.endswith("/loss")}
            log.info("epoch %d of %d  %s", epoch, total, "  ".join(f"{n} {v:.4f}" for n, v in losses.items()))


class EpochTimer(Callback):
    """Log ``seconds_per_epoch``: the time of an epoch's training batches, without validation and figures.

    An epoch resumed half-way logs none.
    """

    def __init__(self) -> None:
        self._started: float | None = None
        self._validation = 0.0

    def on_train_epoch_start(self, *args: Any) -> None:
        self._started, self._validation = time.perf_counter(), 0.0

    def on_validation_start(self, *args: Any) -> None:
        self._validation -= time.perf_counter()

    def on_validation_end(self, *args: Any) -> None:
        self._validation += time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._started is not None:
            pl_module.log(SECONDS, time.perf_counter() - self._started - self._validation)
        self._started = None
