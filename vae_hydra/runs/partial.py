"""Options of the trainer that cut a run short of what its configuration describes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping

LIMITS = ("limit_train_batches", "limit_val_batches", "limit_test_batches")


def partial_options(options: Mapping[str, Any], trainer: L.Trainer) -> str | None:
    """The options by which a run saw less than its data and epochs, as typed; None for a whole run.

    Args:
        options: of the trainer, as configured.
        trainer: after training; ``max_steps`` and ``max_time`` count only where they ended it.
    """
    found = [name for name in ("fast_dev_run", "overfit_batches") if options.get(name)]
    found += [name for name in LIMITS if _limits(name, options.get(name))]
    is_cut = not found and _is_cut(trainer)
    found += [name for name in ("max_steps", "max_time") if is_cut and options.get(name) not in (None, -1)]
    return ", ".join(f"trainer.{name}={_typed(options[name])}" for name in found) or None


def _limits(name: str, value: Any) -> bool:
    # No validation at all is a choice, as dataset.validation=0 is; the integer 1 is one batch, 1.0 is all.
    if value is None or (name == "limit_val_batches" and value == 0):
        return False
    return isinstance(value, int) or value != 1.0


def _is_cut(trainer: L.Trainer) -> bool:
    """Whether training ended before its last step, and not because early stopping had it end."""
    steps = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
    stops = [callback for callback in trainer.callbacks if isinstance(callback, EarlyStopping)]  # type: ignore[attr-defined]
    return trainer.global_step < (trainer.max_epochs or 0) * steps and not any(stop.stopped_epoch for stop in stops)


def _typed(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
