"""Files of training: metrics.csv, last.ckpt to resume from, and best.ckpt to use."""

from __future__ import annotations

import copy
import io
import logging
import math
import shutil
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping
from lightning.pytorch.utilities.exceptions import SIGTERMException

from vae_hydra.base import checks
from vae_hydra.base.files import replace_atomically
from vae_hydra.training.callbacks.guards import NonFiniteLossError, Stopped
from vae_hydra.training.history import History, Row
from vae_hydra.training.module import VAEModule

log = logging.getLogger(__name__)

LAST, BEST, METRICS = "last.ckpt", "best.ckpt", "metrics.csv"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a checkpoint under a temporary name in the same folder, then rename it."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        # Not directly into the file: on a full disk torch.save raises "unexpected pos 704 vs 598".
        content = io.BytesIO()
        torch.save(checkpoint, content)
        replace_atomically(Path(path), lambda temporary: temporary.write_bytes(content.getbuffer()))


class Checkpoints(Checkpoint):
    """Write metrics.csv, best.ckpt when val/loss falls, and last.ckpt to resume from.

    They are written together, at most every few seconds, and when training ends or is stopped. A killed run repeats the
    epochs after its last.ckpt and ends with the weights that it would have had. After a loss that is not finite, the
    previous last.ckpt stays. Without validation there is no best.ckpt.
    Lightning's ModelCheckpoint keeps absolute paths in its state, so that a moved folder loses its best score, and
    it saves on every exception. Its CSVLogger cannot replace a row, and separates training and validation.

    Args:
        every_n_epochs: number of epochs between two checkpoints; best.ckpt is one of these.
        after_annealing: whether best.ckpt comes only from epochs in which β has reached its final value.
        every_seconds: least number of seconds between two writes.
    """

    def __init__(self, every_n_epochs: int = 1, after_annealing: bool = False, every_seconds: float = 5.0) -> None:
        self.every_n_epochs = checks.positive_integer("callbacks.checkpoints.every_n_epochs", every_n_epochs)
        self.after_annealing = checks.boolean("callbacks.checkpoints.after_annealing", after_annealing)
        self.every_seconds = checks.non_negative("callbacks.checkpoints.every_seconds", every_seconds)
        self.best_score = math.inf
        # The best checkpoint and the rows that are not written yet.
        self._best: dict[str, Any] | None = None
        self._rows: list[tuple[int, Row]] = []
        self._history: History | None = None
        self._written = time.monotonic()
        self._validated = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._written = time.monotonic()
        if trainer.is_global_zero:
            # Before the first epoch, so that a damaged file costs no time.
            self._history = History(_folder(trainer) / METRICS)

    def on_validation_end(self, trainer: L.Trainer, *args: Any) -> None:
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, VAEModule)
        validated, self._validated = self._validated, False
        # In an epoch without validation, callback_metrics still holds the previous one.
        parts = ("train/", "val/") if validated else ("train/",)
        row = {name: float(v) for name, v in trainer.callback_metrics.items() if name.startswith(parts)}
        self._rows.append((trainer.current_epoch, row))
        is_last = _is_last_epoch(trainer)
        if not self.is_due(trainer.current_epoch, is_last):
            return
        improved = self.improves(row.get("val/loss"), pl_module.is_annealed)
        # Processes that train together must agree, so they do not look at their clocks.
        if is_last or trainer.world_size > 1 or time.monotonic() - self._written >= self.every_seconds:
            self._write(trainer, improved)
        elif improved:
            self._best = copy.deepcopy(trainer._checkpoint_connector.dump_checkpoint())

    @property
    def unwritten(self) -> list[Row]:
        """The rows of the latest epochs, which metrics.csv does not have yet."""
        return [{"epoch": float(epoch), **row} for epoch, row in self._rows]

    def is_due(self, epoch: int, is_last: bool) -> bool:
        """Whether there are checkpoints after this epoch, counted from 0; there are after the last one."""
        return is_last or (epoch + 1) % self.every_n_epochs == 0

    def improves(self, loss: float | None, is_annealed: bool) -> bool:
        """Whether a validation loss is the least so far, which it then is; None in an epoch without validation.

        A loss that is no number is no improvement. ``is_annealed``: whether β has reached its final value.
        """
        if loss is None or not (is_annealed or not self.after_annealing) or not loss < self.best_score:
            return False
        self.best_score = loss
        return True

    def _write(self, trainer: L.Trainer, is_best: bool) -> None:
        """Write the state after this epoch, which is the best one or not.

        A kill in between repeats the epochs after the previous last.ckpt, which holds the best score until then.
        """
        if not is_best:
            self._write_pending(trainer)
            self._save(trainer, LAST)
        else:
            self._best = None
            self._write_pending(trainer)
            self._save(trainer, BEST)
            if trainer.is_global_zero:
                folder = _folder(trainer)
                replace_atomically(folder / LAST, lambda temporary: shutil.copyfile(folder / BEST, temporary))
        self._written = time.monotonic()

    def _write_pending(self, trainer: L.Trainer) -> None:
        if self._history is not None:
            self._history.extend(self._rows)
        self._rows = []
        if self._best is not None:
            trainer.strategy.checkpoint_io.save_checkpoint(self._best, _folder(trainer) / BEST)
            self._best = None

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.after_annealing and trainer.is_global_zero and not math.isfinite(self.best_score):
            log.warning("no epoch with validation reached the final β: there is no best.ckpt, only last.ckpt")

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        if trainer.state.fn != "fit":
            return
        if isinstance(exception, (Stopped, SIGTERMException)):
            self._write_pending(trainer)
            self._save(trainer, LAST)
        elif isinstance(exception, NonFiniteLossError):
            self._write_pending(trainer)

    def _save(self, trainer: L.Trainer, name: str) -> None:
        trainer.save_checkpoint(_folder(trainer) / name)

    def state_dict(self) -> dict[str, Any]:
        return {"best_score": self.best_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_score = state_dict["best_score"]


def _folder(trainer: L.Trainer) -> Path:
    return Path(trainer.default_root_dir)


def _is_last_epoch(trainer: L.Trainer) -> bool:
    """Whether training ends after this epoch: by its number of epochs or steps, or because it is stopped."""
    steps_are_over = trainer.max_steps != -1 and trainer.global_step >= trainer.max_steps
    return trainer.should_stop or steps_are_over or trainer.current_epoch + 1 == trainer.max_epochs


class EarlyStop(EarlyStopping):
    """Lightning's early stopping, which also stops at once when a stopped run is started again.

    Args:
        monitor: ``val/loss``, checked after each validation, or ``train/loss``, checked after each epoch.
        patience: number of checks in a row without an improvement before training ends.
        min_delta: least decrease that is an improvement.
    """

    def __init__(self, monitor: str = "val/loss", patience: int = 10, min_delta: float = 0.0) -> None:
        checks.one_of("callbacks.early_stopping.monitor", monitor, ("val/loss", "train/loss"))
        checks.positive_integer("callbacks.early_stopping.patience", patience)
        checks.non_negative("callbacks.early_stopping.min_delta", min_delta)
        # A loss that is not finite is no improvement. FiniteLoss stops training where its own loss is not.
        check_at_epoch_end = monitor == "train/loss"
        super().__init__(monitor, min_delta, patience, check_finite=False, check_on_train_epoch_end=check_at_epoch_end)

    @property
    def has_stopped(self) -> bool:
        """Whether training was, or is to be, stopped."""
        return self.wait_count >= self.patience

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.has_stopped:
            trainer.should_stop = True
