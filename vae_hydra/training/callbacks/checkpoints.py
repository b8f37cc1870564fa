"""Files of an epoch: its row of metrics.csv, last.ckpt to resume from, and best.ckpt to use."""

from __future__ import annotations

import io
import logging
import math
import shutil
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping
from lightning.pytorch.utilities.exceptions import SIGTERMException

from vae_hydra.base import checks
from vae_hydra.base.files import replace_atomically
from vae_hydra.training.callbacks.guards import Stopped
from vae_hydra.training.history import History
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


class MetricsCSV(Checkpoint):
    """Write each epoch's metrics to metrics.csv, before the checkpoint of that epoch.

    A run killed in between repeats the epoch and replaces the row; in the other order the row would be lost.
    Lightning's CSVLogger cannot replace a row, and separates training and validation. A Checkpoint, because Lightning
    runs those last, when all metrics of the epoch are known.
    """

    def __init__(self) -> None:
        self._history: History | None = None
        self._validated = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            # Before the first epoch, so that a damaged file costs no time.
            self._history = History(Path(trainer.default_root_dir) / METRICS)

    def on_validation_end(self, *args: Any) -> None:
        self._validated = True

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._history is None:
            return
        # In an epoch without validation, callback_metrics still holds the previous one.
        parts = ("train/", "val/") if self._validated else ("train/",)
        values = {name: float(v) for name, v in trainer.callback_metrics.items() if name.startswith(parts)}
        self._history.record(trainer.current_epoch, values)
        self._validated = False


class Checkpoints(Checkpoint):
    """Write last.ckpt every few epochs and when training is stopped, and best.ckpt when val/loss falls.

    After a loss that is not finite, the previous checkpoint stays. Without validation there is no best.ckpt.
    Lightning's ModelCheckpoint keeps absolute paths in its state, so that a moved folder loses its best score, and
    it saves on every exception.

    Args:
        every_n_epochs: number of epochs between two checkpoints.
        after_annealing: whether best.ckpt comes only from epochs in which β has reached its final value.
    """

    def __init__(self, every_n_epochs: int = 1, after_annealing: bool = False) -> None:
        self.every_n_epochs = checks.positive_integer("callbacks.checkpoints.every_n_epochs", every_n_epochs)
        self.after_annealing = checks.boolean("callbacks.checkpoints.after_annealing", after_annealing)
        self.best_score = math.inf
        self._validated = False

    def on_validation_end(self, *args: Any) -> None:
        self._validated = True

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        last_epoch = trainer.current_epoch + 1 == trainer.max_epochs or trainer.should_stop
        if not last_epoch and (trainer.current_epoch + 1) % self.every_n_epochs:
            return
        assert isinstance(pl_module, VAEModule)
        eligible = self._validated and (pl_module.is_annealed or not self.after_annealing)
        score = float(trainer.callback_metrics["val/loss"]) if eligible else math.inf
        self._validated = False
        if score < self.best_score:
            self.best_score = score
            self._save(trainer, BEST)
            # Best first: last.ckpt holds the best score, and a kill in between repeats the epoch.
            if trainer.is_global_zero:
                folder = Path(trainer.default_root_dir)
                replace_atomically(folder / LAST, lambda temporary: shutil.copyfile(folder / BEST, temporary))
        else:
            self._save(trainer, LAST)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.after_annealing and trainer.is_global_zero and not math.isfinite(self.best_score):
            log.warning("no epoch with validation reached the final β: there is no best.ckpt, only last.ckpt")

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        if isinstance(exception, (Stopped, SIGTERMException)) and trainer.state.fn == "fit":
            self._save(trainer, LAST)

    def _save(self, trainer: L.Trainer, name: str) -> None:
        trainer.save_checkpoint(Path(trainer.default_root_dir) / name)

    def state_dict(self) -> dict[str, Any]:
        return {"best_score": self.best_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_score = state_dict["best_score"]


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
        super().__init__(monitor, min_delta, patience, check_on_train_epoch_end=monitor == "train/loss")

    @property
    def has_stopped(self) -> bool:
        """Whether training was, or is to be, stopped."""
        return self.wait_count >= self.patience

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.has_stopped:
            trainer.should_stop = True
