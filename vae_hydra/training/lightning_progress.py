"""Lightning's record of a run's progress, for checkpoints that are written without its trainer."""

from __future__ import annotations

from typing import Any


def progress_record(epochs: int, steps: int, validation_batches: int, scheduled: tuple[int, int]) -> dict[str, Any]:
    """The entry ``loops`` of a checkpoint after ``epochs`` whole epochs.

    Args:
        epochs: number of epochs.
        steps: optimizer steps in an epoch, one a batch.
        validation_batches: number of batches of a validation; 0 without one.
        scheduled: steps of the learning rate schedule in total, and in the latest epoch.
    """
    done = epochs * steps
    epoch = dict.fromkeys(("ready", "started", "processed"), epochs) | {"completed": epochs - 1}
    idle = {"state_dict": {}, "batch_progress": {**_batches(0, 0), "is_last_batch": False}}
    return {
        "fit_loop": {
            "state_dict": {"combined_loader": [{}]},
            "epoch_loop.state_dict": {"_batches_that_stepped": done},
            "epoch_loop.batch_progress": {**_batches(done, steps), "is_last_batch": True},
            "epoch_loop.scheduler_progress": _counts(*scheduled),
            "epoch_loop.automatic_optimization.state_dict": {},
            "epoch_loop.automatic_optimization.optim_progress": {
                "optimizer": {"step": _counts(done, steps), "zero_grad": _counts(done, steps, "started")}
            },
            "epoch_loop.manual_optimization.state_dict": {},
            "epoch_loop.manual_optimization.optim_step_progress": _counts(0, 0),
            "epoch_loop.val_loop.state_dict": {},
            "epoch_loop.val_loop.batch_progress": {
                **_batches(validation_batches, validation_batches),
                "is_last_batch": validation_batches > 0,
            },
            "epoch_progress": {"total": dict(epoch), "current": dict(epoch)},
        },
        "validate_loop": idle,
        "test_loop": idle,
        "predict_loop": {"state_dict": {}, "batch_progress": _batches(0, 0)},
    }


def _batches(total: int, current: int) -> dict[str, Any]:
    return _counts(total, current, "started", "processed")


def _counts(total: int, current: int, *further: str) -> dict[str, Any]:
    keys = ("ready", "completed", *further)
    return {"total": dict.fromkeys(keys, total), "current": dict.fromkeys(keys, current)}
