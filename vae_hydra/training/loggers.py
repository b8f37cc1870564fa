"""Loggers besides metrics.csv: W&B and TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from vae_hydra.base import checks


def wandb_logger(
    folder: Path,
    run_id: str,
    project: str,
    offline: bool,
    group: str | None = None,
    tags: Sequence[str] = (),
    entity: str | None = None,
    run_tags: Sequence[str] = (),
) -> WandbLogger:
    """Weights & Biases, with one W&B run for a run's folder; resuming the run resumes it.

    Args:
        folder: folder of the run, for the files and the name of the W&B run.
        run_id: unique id of the run, by which W&B recognises it later.
        project, entity, group, tags: options of W&B.
        offline: whether to keep everything on disk until ``wandb sync``.
        run_tags: the option ``tags`` of the run, added to ``tags``.
    """
    checks.boolean("logger.wandb.offline", offline)
    return WandbLogger(
        name=folder.name,
        id=f"{folder.name}-{run_id}",
        save_dir=folder.resolve(),  # W&B's process may have another working folder
        project=project,
        offline=offline,
        group=group,
        tags=[*tags, *run_tags],
        entity=entity,
        resume="allow",
    )


def tensorboard_logger(folder: Path, run_id: str) -> TensorBoardLogger:
    """TensorBoard event files in the run's folder."""
    return TensorBoardLogger(save_dir=folder, name="", version="tensorboard")


@contextmanager
def finishing(loggers: Sequence[Logger], config: Mapping[str, Any]) -> Iterator[None]:
    """Log ``config``, and close W&B in any case, so that the next run of a sweep starts a new W&B run.

    An exception in the block marks the W&B run as crashed, unless its ``exit_code`` is 0.
    """
    exit_code = 0
    try:
        for logger in loggers:
            logger.log_hyperparams(dict(config))
        yield
    except BaseException as error:
        exit_code = getattr(error, "exit_code", 1)
        raise
    finally:
        if any(isinstance(logger, WandbLogger) for logger in loggers):
            import wandb  # takes two seconds

            wandb.finish(exit_code=exit_code)
