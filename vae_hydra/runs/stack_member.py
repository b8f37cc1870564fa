"""One run of a stack: its folder, its callbacks, and what is still to be written."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback

from vae_hydra.runs.build import Experiment
from vae_hydra.runs.compatibility import check_trainer_options
from vae_hydra.runs.folder import Run
from vae_hydra.runs.nodes import Config, node_at
from vae_hydra.runs.score_table import brief, table
from vae_hydra.runs.trainer import build_callbacks
from vae_hydra.training.callbacks import AtomicCheckpointIO, Checkpoints, CollapseWarning, EarlyStop
from vae_hydra.training.callbacks.checkpoints import BEST, LAST, METRICS
from vae_hydra.training.callbacks.progress import losses_text
from vae_hydra.training.history import SECONDS, History, median_seconds, read_epochs
from vae_hydra.training.stack import Scores

log = logging.getLogger(__name__)


class Member:
    """A run while it is part of a stack.

    Args:
        config: its configuration.
        experiment: its module and data.

    Raises:
        ValueError: for options that are refused in training alone.
    """

    def __init__(self, config: Config, experiment: Experiment) -> None:
        self.config, self.module, self.data = config, experiment.module, experiment.data
        self.run = Run.of(config)
        check_trainer_options(node_at(config, "trainer"), config)
        self.callbacks = build_callbacks(config, validates=self.data.has_validation)
        self.best: dict[str, Any] | None = None
        self._rows: list[tuple[int, Scores]] = []
        self._open = ExitStack()

    def open(self, together: int) -> None:
        """Own the folder, as one of so many runs; ValueError if another process owns it."""
        self._open.enter_context(self.run.writing(self.config, stacked=together, **self.data.own_digest))
        self._history = History(self.run.folder / METRICS)

    def close(self, error: BaseException | None = None) -> None:
        """Leave the folder; ``error`` is recorded in it."""
        if error is None:
            self._open.close()
            return
        try:
            self._open.__exit__(type(error), error, error.__traceback__)
        except BaseException as raised:
            if raised is not error:
                raise

    def log(self, level: int, message: str, *arguments: Any) -> None:
        """Log to the terminal and to the log of this run alone."""
        log.log(level, message, *arguments, extra={"run": self.run.name})

    def _callback(self, kind: type[Callback]) -> Any:
        """The callback of a kind; None if the configuration has none."""
        return next((callback for callback in self.callbacks if isinstance(callback, kind)), None)

    @property
    def has_stopped(self) -> bool:
        """Whether early stopping has ended the run."""
        stop = self._callback(EarlyStop)
        return stop is not None and stop.has_stopped

    @property
    def seconds_between_writes(self) -> float:
        """Least number of seconds between two writes of its files."""
        return self._callback(Checkpoints).every_seconds

    def observe(self, epoch: int, row: Scores, seconds: float, kl: torch.Tensor) -> None:
        """Take note of an epoch, and let collapse warning and early stopping see it.

        Args:
            epoch: its number, from 0.
            row: its means.
            seconds: time of its training batches.
            kl: mean KL of each latent [nats], [L].
        """
        self._rows.append((epoch, {**row, SECONDS: seconds}))
        self.log(logging.DEBUG, "epoch %d  %s", epoch + 1, losses_text(row))
        collapse, stop = self._callback(CollapseWarning), self._callback(EarlyStop)
        if collapse and self.module.vae.sampler.has_elbo and (warning := collapse.observe(kl)):
            self.log(logging.WARNING, "%s", warning)
        if stop and stop.monitor in row:
            stop._evaluate_stopping_criteria(torch.tensor(row[stop.monitor]))

    def improves(self, epoch: int, is_last: bool, row: Scores, is_annealed: bool) -> bool:
        """Whether best.ckpt is to hold the weights after this epoch; its score then counts from now on."""
        checkpoints: Checkpoints = self._callback(Checkpoints)
        return checkpoints.is_due(epoch, is_last) and checkpoints.improves(row.get("val/loss"), is_annealed)

    def save(self, last: dict[str, Any]) -> None:
        """Write metrics.csv, best.ckpt and last.ckpt: in this order, a kill in between loses nothing."""
        files = AtomicCheckpointIO()
        self._history.extend(self._rows)
        self._rows = []
        if self.best is not None:
            files.save_checkpoint(self.best, self.run.folder / BEST)
            self.best = None
        files.save_checkpoint(last, self.run.folder / LAST)

    def callback_states(self) -> dict[str, Any]:
        """The states of callbacks that have one, as Lightning saves them."""
        states = {callback.state_key: copy.deepcopy(callback.state_dict()) for callback in self.callbacks}
        return {key: state for key, state in states.items() if state}

    def load_callback_states(self, states: Mapping[str, Any]) -> None:
        """Continue from the states of a checkpoint."""
        for callback in self.callbacks:
            if callback.state_key in states:
                callback.load_state_dict(copy.deepcopy(states[callback.state_key]))

    def finish(self, scores: Scores, checkpoint: str) -> None:
        """Draw figures, record the test scores and leave the folder; the module has the weights of ``checkpoint``."""
        for callback in self.callbacks:
            # The callback that draws is defined in a layer above, so it is known by its method.
            if hasattr(callback, "draw_run"):
                callback.draw_run(self.run.folder, self.module.eval(), self.data)
        self.run.finish(scores, checkpoint, median_seconds(read_epochs(self.run.folder / METRICS)))
        self.log(logging.DEBUG, "test scores\n%s", table(scores))
        self.log(logging.INFO, "run      %s  %s", self.run.folder, brief(scores))
        self.close()
