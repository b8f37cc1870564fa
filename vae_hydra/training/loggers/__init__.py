"""W&B, MLflow, TensorBoard and trackio, besides metrics.csv. All log the same names, each value once."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from lightning.pytorch.loggers import Logger

from vae_hydra.base.system_errors import first_line
from vae_hydra.training.loggers.mlflow import mlflow_logger
from vae_hydra.training.loggers.run_logger import RunLogger
from vae_hydra.training.loggers.tensorboard import tensorboard_logger
from vae_hydra.training.loggers.trackio import trackio_logger
from vae_hydra.training.loggers.wandb import wandb_logger

__all__ = ["RunLogger", "finishing", "mlflow_logger", "tensorboard_logger", "trackio_logger", "wandb_logger"]

log = logging.getLogger(__name__)


@contextmanager
def finishing(loggers: Sequence[Logger], config: Mapping[str, Any], detail: int = logging.INFO) -> Iterator[None]:
    """Log ``config`` and each logger's place, and close the loggers in any case with the end of the run.

    An exception in the block marks the run as failed or stopped, unless its ``exit_code`` is 0. A logger that cannot be
    closed, as of a server that is gone, is a warning: what ended the run stays its error, and scores stay scores.

    Args:
        loggers: loggers of one run.
        config: the run's resolved configuration.
        detail: level of the line that says where a logger's run is.
    """
    ours = [logger for logger in loggers if isinstance(logger, RunLogger)]
    raised: BaseException | None = None
    try:
        for logger in loggers:
            logger.log_hyperparams(dict(config))
        for logger in ours:
            log.log(detail, "%-8s %s", logger.title, logger.place)
        yield
    except BaseException as error:
        raised = error
        raise
    finally:
        for logger in ours:
            _end(logger, raised)


def _end(logger: RunLogger, raised: BaseException | None) -> None:
    try:
        logger.end(raised)
    except Exception as error:
        log.warning("%s could not be closed, and may show the run as unfinished: %s", logger.title, first_line(error))
