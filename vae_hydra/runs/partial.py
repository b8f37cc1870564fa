"""Options of the trainer that leave out batches or epochs of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # A report, which imports this module, does not wait for torch.
    import lightning as L

LIMITS = ("limit_train_batches", "limit_val_batches", "limit_test_batches")
# Options that leave out batches whenever they are given.
SWITCHES = ("fast_dev_run", "overfit_batches")


def is_trial(config: Mapping[str, Any]) -> bool:
    """Whether a run only tries a command or code: it is trained anew each time, and never counts as done."""
    return bool(config.get("debug") or (config.get("trainer") or {}).get("fast_dev_run"))


def partial_options(options: Mapping[str, Any], trainer: L.Trainer) -> str | None:
    """The options by which a finished run saw less than its data and epochs, as overrides; None for a whole run.

    Args:
        options: of the trainer, as configured.
        trainer: after training; ``max_steps`` and ``max_time`` count only where they ended it.
    """
    found = limiting_options(options)
    is_cut = not found and _is_cut(trainer)
    found += [name for name in ("max_steps", "max_time") if is_cut and options.get(name) not in (None, -1)]
    return as_overrides(found, options) or None


def limiting_options(options: Mapping[str, Any]) -> list[str]:
    """The options of a trainer that leave out batches."""
    # No validation at all is a choice, as dataset.validation=0 is.
    limits = [name for name in LIMITS if name != "limit_val_batches" or options.get(name) != 0]
    return [name for name in SWITCHES if options.get(name)] + [name for name in limits if _limits(options.get(name))]


def _limits(value: Any) -> bool:
    # Lightning takes 1.0 for all batches, and the integer 1 for one.
    return value is not None and not (isinstance(value, float) and value == 1)


def _is_cut(trainer: L.Trainer) -> bool:
    """Whether training ended before its last step for another reason than early stopping."""
    steps = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
    # Of the callbacks only EarlyStopping has this attribute.
    has_stopped = any(getattr(callback, "stopped_epoch", 0) for callback in trainer.callbacks)  # type: ignore[attr-defined]
    return trainer.global_step < (trainer.max_epochs or 0) * steps and not has_stopped


def as_overrides(names: list[str], options: Mapping[str, Any]) -> str:
    """Options of the trainer with their values, as on a command line."""
    values = {name: options[name] for name in names}
    texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in values.items()}
    return ", ".join(f"trainer.{name}={text}" for name, text in texts.items())
