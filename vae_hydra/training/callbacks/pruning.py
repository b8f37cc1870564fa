"""Stop a run that is much worse than others of its search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from vae_hydra.training.callbacks.guards import Stopped


class Pruned(Stopped):
    """A search stopped a run, which would resume if started again."""

    run_status = "pruned"
    exit_code = 0


class Pruning(Checkpoint):
    """Report the ELBO of each validation, and stop the run if the search finds it hopeless.

    After the last epoch the run ends normally. A Checkpoint, because Lightning runs those last, when the epoch's
    metrics are written.

    Args:
        is_hopeless: (epochs trained, ELBO [nats per example]) → whether to stop.
    """

    def __init__(self, is_hopeless: Callable[[int, float], bool]) -> None:
        self.is_hopeless = is_hopeless
        self._validated = False

    def on_validation_end(self, trainer: L.Trainer, *args: Any) -> None:
        # Lightning forgets the metrics of the check before training.
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self._validated:
            return
        self._validated = False
        epochs = trainer.current_epoch + 1
        hopeless = self.is_hopeless(epochs, float(trainer.callback_metrics["val/elbo"]))
        if hopeless and epochs != trainer.max_epochs and not trainer.should_stop:
            raise Pruned(f"after {epochs} epochs: other runs of the search were better by then")
