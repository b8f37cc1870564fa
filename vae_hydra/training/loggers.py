"""Loggers besides a run's own metrics.csv: W&B and TensorBoard."""

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
) -> WandbLogger:
    """Weights & Biases, one W&B run for this run's folder, continued when the run is.

    Args:
        folder: the run's, whose name is the W&B run's; W&B keeps its files there.
        run_id: what makes the run unique, by which it is recognised when started again.
        project, entity, group, tags: as W&B has them.
        offline: keep everything on disk until ``wandb sync``.
    """
    checks.boolean("logger.wandb.offline", offline)
    return WandbLogger(
        name=folder.name,
        id=f"{folder.name}-{run_id}",
        save_dir=folder.resolve(),  # W&B's own process may have been started elsewhere
        project=project,
        offline=offline,
        group=group,
        tags=list(tags),
        entity=entity,
        resume="allow",
    )


def tensorboard_logger(folder: Path, run_id: str) -> TensorBoardLogger:
    """TensorBoard event files in the run's folder."""
    return TensorBoardLogger(save_dir=folder, name="", version="tensorboard")


@contextmanager
def finishing(loggers: Sequence[Logger], config: Mapping[str, Any]) -> Iterator[None]:
    """Log ``config``, and close W&B whatever happens, so that the next run of a sweep is its own.

    A block that raised is marked in W&B as crashed, unless what it raised says that it ends with exit code 0.
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
            import wandb

            wandb.finish(exit_code=exit_code)
