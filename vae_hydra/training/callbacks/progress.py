"""Progress in the terminal and the log, and seconds per epoch."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, Checkpoint, ProgressBar
from tqdm import tqdm

from vae_hydra.base import checks
from vae_hydra.base.durations import duration
from vae_hydra.training.history import SECONDS

log = logging.getLogger(__name__)

# Seconds between two lines about the epochs of a run.
QUIET = 10.0


def losses_text(values: Mapping[str, float]) -> str:
    """``train/loss 1.2345  val/loss 2.3456``: the losses among the values of an epoch."""
    return "  ".join(f"{name} {value:.4f}" for name, value in values.items() if name.endswith("/loss"))


class EpochLines:
    """A line for the first and the last epoch, and for others about every ten seconds; a log file has all of them.

    Args:
        total: number of epochs.
        first: number of epochs that are completed already.
        quiet: only a line every ten seconds, for one of many runs.
    """

    def __init__(self, total: int, first: int = 0, quiet: bool = False) -> None:
        self.total, self.first, self.quiet = total, first, quiet
        self._started = self._shown = time.monotonic()

    def level(self, epoch: int) -> int:
        """``INFO`` for a line on the screen, ``DEBUG`` for one in the log file; ``epoch`` counts from 1."""
        now = time.monotonic()
        is_end = epoch in (self.first + 1, self.total) and not self.quiet
        if not is_end and now - self._shown < QUIET:
            return logging.DEBUG
        self._shown = now
        return logging.INFO

    def text(self, epoch: int) -> str:
        """``epoch 12 of 50, 3 min 20 s left``."""
        spent = time.monotonic() - self._started
        left = spent / max(1, epoch - self.first) * (self.total - epoch)
        return f"epoch {epoch} of {self.total}" + (f", {duration(left)} left" if epoch < self.total else "")


class Progress(ProgressBar, Checkpoint):
    """On a terminal, a bar over all epochs with the time left; elsewhere a line about every ten seconds.

    A Checkpoint, because Lightning runs those last: at the end of an epoch its losses are known.

    Args:
        refresh_rate: number of batches between two updates of the bar; 0 for no bar.

    Attributes:
        quiet: whether this is one of many runs, which share the screen.
    """

    def __init__(self, refresh_rate: int = 20) -> None:
        super().__init__()
        self.refresh_rate = checks.non_negative_integer("callbacks.progress.refresh_rate", refresh_rate)
        self.quiet = False
        self._is_enabled = True
        self._bar: Any = None

    def enable(self) -> None:
        self._is_enabled = True

    def disable(self) -> None:
        # Lightning shows one bar for the processes of a run.
        self._is_enabled = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        epochs, first = max(1, trainer.max_epochs or 1), trainer.current_epoch
        self._lines = EpochLines(epochs, first, self.quiet)
        # Runs at the same time would write their bars over one another.
        if self._is_enabled and self.refresh_rate and not self.quiet and sys.stdout.isatty():
            self._bar = tqdm(
                total=epochs,
                initial=first,
                desc="epoch",
                leave=False,
                file=sys.stdout,
                dynamic_ncols=True,
                bar_format="{desc} {n:.1f} of {total:g} |{bar}| {elapsed} spent, {remaining} left{postfix}",
            )

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self._bar is not None and (batch_idx + 1) % self.refresh_rate == 0:
            self._move(trainer.current_epoch + (batch_idx + 1) / max(1, trainer.num_training_batches))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        epoch = trainer.current_epoch + 1
        shown = losses_text({name: value.item() for name, value in trainer.callback_metrics.items()})
        level = logging.DEBUG if self._bar is not None else self._lines.level(epoch)
        log.log(level, "%s  %s", self._lines.text(epoch), shown)
        if self._bar is not None:
            self._bar.set_postfix_str(shown, refresh=False)
            self._move(epoch)

    def _move(self, epochs: float) -> None:
        self._bar.n = epochs
        self._bar.refresh()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


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
