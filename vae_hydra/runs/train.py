"""Train one run in its folder and score it."""

from __future__ import annotations

import logging
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from vae_hydra.base import checks
from vae_hydra.base.command.configuration import is_sweep
from vae_hydra.base.command.process import prepare_torch
from vae_hydra.runs.build import Experiment, build_experiment
from vae_hydra.runs.checkpoint import load_weights, read_checkpoint
from vae_hydra.runs.finished import finished_scores, warn_if_partial
from vae_hydra.runs.folder import Run
from vae_hydra.runs.partial import is_trial, partial_options
from vae_hydra.runs.saved import check_same_files
from vae_hydra.runs.score_table import brief, table
from vae_hydra.runs.scores import score
from vae_hydra.runs.sharing.weights import write_config, write_weights
from vae_hydra.runs.trainer import build_trainer
from vae_hydra.runs.warm_start import KeepOptimizer, Start, start_from
from vae_hydra.training.callbacks import InterruptGuard, Progress
from vae_hydra.training.callbacks.guards import RESTART, Interrupted
from vae_hydra.training.history import median_seconds, read_epochs
from vae_hydra.training.loggers import RunLogger, finishing
from vae_hydra.training.module import CHECKPOINT_KEY

log = logging.getLogger(__name__)


@contextmanager
def exit_when_interrupted() -> Iterator[None]:
    """End the command with the exit code of the signal that interrupted training.

    In a job of submitit that is to start again, its own handler ends the process.
    """
    try:
        yield
    except Interrupted as interrupt:
        if interrupt.signum == RESTART:
            log.warning("saved    for the next start of this job")
            # SLURM sends it to the job, and to what asks for the next start, as soon as it is asked.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.raise_signal(RESTART)
        log.warning("stopped by %s; start the same command again to go on", interrupt)
        sys.exit(interrupt.exit_code)


@contextmanager
def keep_errors(config: Mapping[str, Any]) -> Iterator[None]:
    """In a sweep, write an error to the run's folder, also an error that comes before the folder exists."""
    try:
        yield
    except Exception as error:
        if is_sweep():
            Run.of(config).fail(config, error)
        raise


def train(
    config: Mapping[str, Any],
    watching: Sequence[Callback] = (),
    guard: InterruptGuard | None = None,
    quiet: bool = False,
) -> dict[str, float]:
    """Train one run in its folder, test it, and return its test scores.

    A finished run returns its scores at once. A run that was cut off goes on from last.ckpt. A run that was trained but
    not tested on every noise of ``config`` is tested again.

    Args:
        config: resolved configuration, as ``conf/train.yaml`` composes it.
        watching: callbacks that run after each epoch is written, and may raise ``Stopped``.
        guard: the interrupt guard of a caller that trains several runs; None for one of its own.
        quiet: write messages to the run's own log only.

    Raises:
        ValueError: for a configuration that cannot work; nothing has been written.
        Interrupted: on SIGINT or SIGTERM, once last.ckpt is written.
    """

    if (scores := finished_scores(config)) is not None:
        return scores
    run = Run.of(config)
    # In a sweep the terminal shows one line a run; the run's own log has the rest.
    detail = logging.DEBUG if quiet or is_sweep() else logging.INFO
    if run.is_done and not is_trial(config):
        log.info("%s is trained, but not tested on %s: testing it again", run.folder, ", ".join(run.untested(config)))
        # The scores keep the noises of earlier tests.
        config = {**config, "test_noises": (run.config.get("test_noises") or {}) | (config.get("test_noises") or {})}
    prepare_torch(config["threads"])
    experiment = build_experiment(config)
    if is_trial(config):
        # Only now, so that options which cannot work leave the earlier trial.
        run.forget()
    start = _start(run, config, experiment)
    callbacks = [KeepOptimizer(start.checkpoint, experiment.module.vae)] if start and config["keep_optimizer"] else []
    with guard or InterruptGuard() as guard:
        trainer = build_trainer(config, experiment.data, run.folder, run.id, [*watching, guard, *callbacks])
        if isinstance(trainer.progress_bar_callback, Progress):
            trainer.progress_bar_callback.quiet = detail == logging.DEBUG
        together = {"devices": trainer.world_size} if trainer.world_size > 1 else {}
        with run.writing(config, **together, **experiment.data.own_digest):
            _greet(run, experiment, start, detail)
            metrics = _fit_and_score(run, config, trainer, experiment, guard, detail)
            log.log(detail, "test scores\n%s", table(metrics))
            warn_if_partial(run)
            summary = f"  {brief(metrics)}" if is_sweep() else ""
            log.log(logging.DEBUG if quiet else logging.INFO, "run      %s%s", run.folder, summary)
            for picture in sorted((run.folder / "figures").glob("*.png")):
                log.log(detail, "figure   %s", picture)
    return metrics


def _start(run: Run, config: Mapping[str, Any], experiment: Experiment) -> Start | None:
    """Start from another run's weights; None if there is none, or this run goes on from its own."""

    keep_optimizer = checks.boolean("keep_optimizer", config["keep_optimizer"])
    if config["init_from"] is None:
        if keep_optimizer:
            raise ValueError("keep_optimizer=true keeps that of another run, but there is none; add init_from=RUN")
        return None
    if run.resume_path() is not None:
        return None
    if config["trainer"]["precision"] == "64-true":
        experiment.module.double()  # Lightning does so too late: weights in double precision would be rounded
    return start_from(experiment.module.vae, config["init_from"])


def _fit_and_score(
    run: Run, config: Mapping[str, Any], trainer: L.Trainer, experiment: Experiment, guard: InterruptGuard, detail: int
) -> dict[str, float]:

    module, data = experiment
    resume = run.resume_path()
    if resume is not None:
        # Refuse damaged checkpoints before training: the best one is read at its end.
        for path in run.checkpoints():
            check_same_files(read_checkpoint(path)[CHECKPOINT_KEY], data, "dataset.root")
    with finishing(trainer.loggers, config, detail):
        trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
        guard.stop_if_interrupted(trainer)
        chosen = run.checkpoint_path()
        load_weights(module.vae, read_checkpoint(chosen))
        metrics = score(trainer, module, data)
        _log_model(trainer, experiment)
    if trainer.is_global_zero:
        seconds = median_seconds(read_epochs(run.folder / "metrics.csv"))
        partial = partial_options(config["trainer"], trainer)
        run.finish(metrics, chosen.stem, seconds, partial)
    return metrics


def _log_model(trainer: L.Trainer, experiment: Experiment) -> None:
    """Give the trained model to the loggers that store models."""
    module, data = experiment
    loggers = [logger for logger in trainer.loggers if isinstance(logger, RunLogger) and logger.logs_model]
    if not loggers or not trainer.is_global_zero:
        return
    with tempfile.TemporaryDirectory() as name:
        write_config(Path(name), module.description["config"])
        write_weights(Path(name), module, data.value_range())
        for logger in loggers:
            logger.log_model(Path(name))


def _greet(run: Run, experiment: Experiment, start: Start | None, detail: int) -> None:
    module, data = experiment
    vae = module.vae
    sizes = " / ".join(f"{len(part):,}" for part in data.splits.values())
    log.log(detail, "run      %s%s", run.folder, " (going on)" if run.resume_path() else "")
    log.log(
        detail, "data     %s train / validation / test examples of shape %s", sizes, "×".join(map(str, data.x_shape))
    )
    log.log(
        detail,
        "model    %s parameters, %d latents, %s, %s",
        f"{sum(p.numel() for p in vae.parameters()):,}",
        vae.latent_dim,
        type(vae.sampler).__name__,
        type(vae.likelihood).__name__,
    )
    if start:
        log.log(detail, "weights  %d of %d from %s", start.fitting, len(vae.state_dict()), start.path)
        for line in start.misfits:
            log.warning("         %s", line)
