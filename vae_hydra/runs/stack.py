"""Runs of one shape, trained together as one model; each leaves the folder that it would leave alone."""

from __future__ import annotations

import copy
import json
import logging
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback

from vae_hydra.base.command.process import prepare_torch
from vae_hydra.runs.build import Experiment, build_data, build_experiment
from vae_hydra.runs.checkpoint import read_checkpoint, vae_weights
from vae_hydra.runs.folder import Run
from vae_hydra.runs.nodes import make, node_at
from vae_hydra.runs.score_table import brief, table
from vae_hydra.runs.train import train
from vae_hydra.runs.trainer import choose_device
from vae_hydra.training.callbacks import (
    AtomicCheckpointIO,
    Checkpoints,
    CollapseWarning,
    EarlyStop,
    InterruptGuard,
    NonFiniteLossError,
)
from vae_hydra.training.history import History
from vae_hydra.training.stack import Scores, Stack

log = logging.getLogger(__name__)

Config = Mapping[str, Any]
# Seconds between two checkpoints of a stack: one a member takes about 15 ms.
SAVE_INTERVAL = 10.0


class Member:
    """One run of a stack: its folder, its callbacks, and what it has reached.

    Args:
        config: of the run.
        experiment: its module and data.
        together: number of runs in the stack.
    """

    def __init__(self, config: Config, experiment: Experiment, together: int) -> None:
        self.config, self.module, self.data = config, experiment.module, experiment.data
        self.run, self.together = Run.of(config), together
        nodes = node_at(config, "callbacks")
        self.callbacks: list[Callback] = [make(f"callbacks.{key}", node) for key, node in nodes.items() if node]
        self.pending: list[tuple[int, Scores]] = []
        self.best: dict[str, Any] | None = None
        self.seconds: list[float] = []
        self._open = ExitStack()

    def open(self) -> None:
        """Own the folder; ValueError if another process has it."""
        self._open.enter_context(self.run.writing(self.config, stacked=self.together))
        self.history = History(self.run.folder / "metrics.csv")

    def close(self, error: BaseException | None = None) -> None:
        """Leave the folder, with the error that ended the run."""
        if error is None:
            self._open.close()
            return
        try:
            self._open.__exit__(type(error), error, error.__traceback__)
        except BaseException as raised:
            if raised is not error:
                raise

    def note(self, level: int, message: str, *arguments: Any) -> None:
        """Log to this run's log alone, and to the terminal."""
        log.log(level, message, *arguments, extra={"run": self.run.name})

    def callback(self, kind: type[Callback]) -> Any:
        """The callback of a kind; None if the configuration has none."""
        return next((callback for callback in self.callbacks if isinstance(callback, kind)), None)

    def callback_states(self) -> dict[str, Any]:
        """State of the callbacks that have one, as Lightning saves it."""
        states = {callback.state_key: callback.state_dict() for callback in self.callbacks}
        return {key: state for key, state in states.items() if state}

    def load_callback_states(self, states: Mapping[str, Any]) -> None:
        """Go on from the states of a checkpoint."""
        for callback in self.callbacks:
            if callback.state_key in states:
                callback.load_state_dict(copy.deepcopy(states[callback.state_key]))


def train_together(configs: Sequence[Config], guard: InterruptGuard | None = None) -> None:
    """Train runs of one shape as one model, test them, and write what each would write alone.

    A run that fails is recorded as failed and leaves the stack; the others go on. Runs that were cut off go on from
    their last.ckpt, those that had reached the same epoch together.

    Args:
        configs: resolved configurations of runs that are not done, of one shape (see ``studies.sweep.stacks``).
        guard: the guard around several stacks; None for one of its own.

    Raises:
        Interrupted: on SIGINT or SIGTERM. The epochs since the latest checkpoints are trained again.
    """
    prepare_torch(configs[0]["threads"])
    by_epoch: dict[int, list[Config]] = {}
    for config in configs:
        by_epoch.setdefault(_epochs_done(Run.of(config)), []).append(config)
    with guard or InterruptGuard() as guard:
        for epoch, group in sorted(by_epoch.items()):
            if epoch < 0 or len(group) == 1:
                # Cut off within an epoch, or alone: what it takes to go on is Lightning's to know.
                for config in group:
                    train(config, guard=guard)
            else:
                _train(group, guard)


def train_cells(path: str) -> None:
    """Train the runs whose configurations a sweep has written to a file."""
    configs = json.loads(Path(path).read_text(encoding="utf-8"))
    train_together([config for config in configs if not Run.of(config).is_done])


def _epochs_done(run: Run) -> int:
    """Epochs after which last.ckpt was written; 0 without one, −1 for one from within an epoch."""
    path = run.resume_path()
    if path is None:
        return 0
    checkpoint = read_checkpoint(path)
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    return checkpoint["epoch"] + 1 if progress["is_last_batch"] else -1


def _train(configs: Sequence[Config], guard: InterruptGuard) -> None:
    members = _opened(configs)
    try:
        if members:
            _Training(members, guard).train()
    except BaseException as error:
        for member in members:
            member.close(error)
        raise


def _opened(configs: Sequence[Config]) -> list[Member]:
    """Members that share their examples, without runs that cannot be built or whose folder is taken."""
    data = build_data(configs[0])
    members = []
    for config in configs:
        try:
            member = Member(config, build_experiment(config, data.with_order(config["seed"])), len(configs))
            member.open()
        except ValueError as error:
            log.error("%s", error)
            Run.of(config).fail(config, error)
        else:
            members.append(member)
    return members


class _Training:
    """Members while they are trained."""

    def __init__(self, members: Sequence[Member], guard: InterruptGuard) -> None:
        self.members, self.guard = list(members), guard
        self.trained: list[Member] = []
        trainer = members[0].config["trainer"]
        self.max_epochs = trainer["max_epochs"]
        self.device = choose_device(trainer["accelerator"])
        self.stack = self._stack(members)
        self.saved_at = time.monotonic()
        self._resume()

    def _stack(self, members: Sequence[Member]) -> Stack:
        clip = members[0].config["trainer"].get("gradient_clip_val")
        orders = [member.data.order_seed for member in members]
        modules = [member.module for member in members]
        return Stack(modules, members[0].data, orders, self.max_epochs, clip, self.device)

    def _resume(self) -> None:
        paths = [member.run.resume_path() for member in self.members]
        if None in paths:
            return
        checkpoints = [read_checkpoint(path) for path in paths if path]
        self.stack.resume(checkpoints)
        for member, checkpoint in zip(self.members, checkpoints, strict=True):
            member.load_callback_states(checkpoint["callbacks"])

    def train(self) -> None:
        """Train to the last epoch, then test and finish every member."""
        log.info("stack    %d runs as one, from epoch %d of %d", len(self.members), self.stack.epoch, self.max_epochs)
        for member in self.members:
            if remark := member.module.beta_schedule.remark():
                member.note(logging.INFO, "%s", remark)
        while self.members and self.stack.epoch < self.max_epochs:
            self._epoch()
        self.trained += self.members
        if self.trained:
            self._test()

    def _epoch(self) -> None:
        started = time.perf_counter()
        rows = self.stack.train_epoch(self.guard.stop_if_interrupted)
        share = (time.perf_counter() - started) / len(rows)
        if self.members[0].data.has_validation:
            rows = [row | more for row, more in zip(rows, self.stack.validate(), strict=True)]
        failed = [self._failure(row) for row in rows]
        for member, error, row in zip(self.members, failed, rows, strict=True):
            if error is None:
                member.seconds.append(share)
                member.pending.append((self.stack.epoch - 1, {**row, "train/seconds_per_epoch": share}))
        stopped = [error is None and self._observe(m, rows[m]) for m, error in enumerate(failed)]
        last = self.stack.epoch == self.max_epochs or any(stopped)
        if last or time.monotonic() - self.saved_at >= SAVE_INTERVAL:
            self._save([m for m, error in enumerate(failed) if error is None])
        self._leave(failed, stopped)
        self.guard.stop_if_interrupted()

    def _failure(self, row: Scores) -> NonFiniteLossError | None:
        loss = row["train/loss"]
        return None if math.isfinite(loss) else NonFiniteLossError.of(self.stack.epoch - 1, loss)

    def _observe(self, number: int, row: Scores) -> bool:
        """Let a member's callbacks and schedule see its epoch; whether it stops here."""
        member = self.members[number]
        collapse, stop = member.callback(CollapseWarning), member.callback(EarlyStop)
        if collapse and member.module.vae.sampler.has_elbo:
            warning = collapse.observe(self.stack.kl_per_latent[number])
            if warning:
                member.note(logging.WARNING, "%s", warning)
        self.stack.rates[number].step(row.get("val/loss", row["train/loss"]))
        self._keep_best(number, row)
        if stop is None or stop.monitor not in row:
            return False
        return stop._evaluate_stopping_criteria(torch.tensor(row[stop.monitor]))[0]

    def _keep_best(self, number: int, row: Scores) -> None:
        member = self.members[number]
        checkpoints: Checkpoints = member.callback(Checkpoints)
        counts = "val/loss" in row and (self.stack.is_annealed(number) or not checkpoints.after_annealing)
        if counts and row["val/loss"] < checkpoints.best_score:
            checkpoints.best_score = row["val/loss"]
            member.best = self.stack.checkpoint(number, member.callback_states())

    def _save(self, numbers: Sequence[int]) -> None:
        """Write metrics.csv, best.ckpt and last.ckpt of members, in the order that a kill in between allows."""
        files = AtomicCheckpointIO()
        for number in numbers:
            member = self.members[number]
            member.history.extend(member.pending)
            member.pending = []
            if member.best is not None:
                files.save_checkpoint(member.best, member.run.folder / "best.ckpt")
                member.best = None
            state = self.stack.checkpoint(number, member.callback_states())
            files.save_checkpoint(state, member.run.folder / "last.ckpt")
        self.saved_at = time.monotonic()

    def _leave(self, failed: Sequence[BaseException | None], stopped: Sequence[bool]) -> None:
        """Take members that failed or stopped out of the stack."""
        if not any(failed) and not any(stopped):
            return
        for member, error, is_stopped in zip(self.members, failed, stopped, strict=True):
            if error is not None:
                member.note(logging.ERROR, "failed   %s: %s", member.run.folder, error)
                member.close(error)
            elif is_stopped:
                self.trained.append(member)
        kept = [m for m, (error, stop) in enumerate(zip(failed, stopped, strict=True)) if error is None and not stop]
        self.members = [self.members[m] for m in kept]
        if kept:
            self.stack.keep(kept)

    def _test(self) -> None:
        """Test with the weights that each would be tested with alone, and finish."""
        chosen = [member.run.checkpoint_path() for member in self.trained]
        weights = [vae_weights(read_checkpoint(path)) for path in chosen]
        scores = self._stack(self.trained).test(weights)
        for member, path, own, found in zip(self.trained, chosen, weights, scores, strict=True):
            self.guard.stop_if_interrupted()
            member.module.vae.load_state_dict(own)
            self._draw(member)
            member.run.finish(found, path.stem, statistics.median(member.seconds) if member.seconds else None)
            member.note(logging.DEBUG, "test scores\n%s", table(found))
            member.note(logging.INFO, "run      %s  %s", member.run.folder, brief(found))
            member.close()

    def _draw(self, member: Member) -> None:
        """Let the callback that draws do so, as after a test of Lightning's."""
        folder, steps = member.run.folder, self.max_epochs * self.stack.steps_per_epoch
        trainer = SimpleNamespace(
            is_global_zero=True, default_root_dir=folder, datamodule=member.data, loggers=[], global_step=steps
        )
        member.module.to(self.device).eval()
        for callback in member.callbacks:
            # Drawing is a layer above: its callback is known by its method.
            if hasattr(callback, "draw"):
                callback.draw(trainer, member.module)
