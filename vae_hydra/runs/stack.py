"""Runs of one shape, trained together as one model; each leaves the folder that it leaves alone."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path

from vae_hydra.base.command.process import prepare_torch, processes_side_by_side
from vae_hydra.base.draws import CannotStack
from vae_hydra.base.memory import free_memory
from vae_hydra.runs.build import build_data, build_experiment
from vae_hydra.runs.checkpoint import read_checkpoint
from vae_hydra.runs.compatibility import warn_of_slow_options
from vae_hydra.runs.folder import Run
from vae_hydra.runs.nodes import Config
from vae_hydra.runs.saved import check_same_files
from vae_hydra.runs.scores import warn_of_infinite
from vae_hydra.runs.stack_member import Member
from vae_hydra.runs.stack_memory import memory_of
from vae_hydra.runs.train import train
from vae_hydra.runs.trainer import choose_device
from vae_hydra.training.callbacks import InterruptGuard, NonFiniteLossError
from vae_hydra.training.callbacks.progress import EpochLines
from vae_hydra.training.module import CHECKPOINT_KEY, vae_weights
from vae_hydra.training.stack import Scores, Stack

log = logging.getLogger(__name__)

# Largest share of its time that a stack spends on checkpoints.
SHARE_OF_WRITING = 0.05


def train_cells(path: str) -> None:
    """Train the runs whose configurations a sweep has written to a file."""
    train_together(json.loads(Path(path).read_text(encoding="utf-8")))


def train_together(configs: Sequence[Config], guard: InterruptGuard | None = None) -> None:
    """Train runs of one shape as one model, test them, and write the files that each writes alone.

    A run that fails is recorded as failed and leaves the stack; the others continue. Interrupted runs resume from
    last.ckpt, those that had completed the same epoch together. A finished run is only tested where scores are missing.

    Args:
        configs: resolved configurations of runs of one shape (see ``studies.sweep.stacks``).
        guard: the guard around several stacks; None for a new one.

    Raises:
        Interrupted: on SIGINT or SIGTERM. The epochs since the latest checkpoints are trained again.
    """
    prepare_torch(configs[0]["threads"])
    with guard or InterruptGuard() as guard:
        for epoch, group in _by_epoch(configs).items():
            if epoch is None:
                _train_alone(group, guard)
                continue
            try:
                _train_stack(group, guard)
            except CannotStack as reason:
                log.warning("stack    not possible, so each of %d runs is trained alone: %s", len(group), reason)
                _train_alone(group, guard)


def _by_epoch(configs: Sequence[Config]) -> dict[int | None, list[Config]]:
    """Completed epochs → runs; None for runs that only Lightning can continue."""
    groups: dict[int | None, list[Config]] = {}
    for config in configs:
        try:
            epochs = _completed_epochs(Run.of(config))
        except ValueError:
            # A damaged checkpoint: training alone says so in the run's record.
            epochs = None
        groups.setdefault(epochs, []).append(config)
    return groups


def _completed_epochs(run: Run) -> int | None:
    """Epochs before last.ckpt; None for a finished run, and for a checkpoint from within an epoch."""
    path = run.resume_path()
    if run.is_done or path is None:
        return None if run.is_done else 0
    checkpoint = read_checkpoint(path)
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    return checkpoint["epoch"] + 1 if progress["is_last_batch"] else None


def _train_alone(configs: Sequence[Config], guard: InterruptGuard) -> None:
    for config in configs:
        try:
            train(config, guard=guard)
        except Exception as error:
            _record(config, error)


def _record(config: Config, error: Exception) -> None:
    run = Run.of(config)
    log.error("failed   %s: %s", run.folder, error)
    run.fail(config, error)


def _train_stack(configs: Sequence[Config], guard: InterruptGuard) -> None:
    for part in _that_fit(_built(configs)):
        members = _opened(part)
        try:
            if members:
                _Training(members, guard).train()
        except CannotStack:
            for member in members:
                member.close()
            raise
        except BaseException as error:
            for member in members:
                member.close(error)
            raise


def _built(configs: Sequence[Config]) -> list[Member]:
    """Members that share their examples, without runs that cannot be built."""
    data = build_data(configs[0])
    members = []
    for config in configs:
        try:
            members.append(Member(config, build_experiment(config, data.with_order(config["seed"]))))
        except ValueError as error:
            _record(config, error)
    return members


def _opened(members: Sequence[Member]) -> list[Member]:
    """Members that own their folders, without runs that another process trains."""
    opened = []
    for member in members:
        try:
            member.open(len(members))
        except ValueError as error:
            _record(member.config, error)
        else:
            opened.append(member)
    return opened


def _that_fit(members: Sequence[Member]) -> list[list[Member]]:
    """Parts of even size that each fit into a process's share of half of the free memory."""
    if not members:
        return []
    free = free_memory(choose_device(members[0].config["trainer"]["accelerator"]))
    most = max(1, free // (2 * processes_side_by_side()) // memory_of(members[0]))
    parts = -(-len(members) // most)
    if parts > 1:
        log.info("stack    %d runs in %d parts, because memory holds %d at a time", len(members), parts, most)
    return [list(members[part::parts]) for part in range(parts)]


class _Training:
    """The runs of a stack while it is trained."""

    def __init__(self, members: Sequence[Member], guard: InterruptGuard) -> None:
        self.members, self.guard = list(members), guard
        self.trained: list[Member] = []
        self.stack = _stack(members)
        self._saved = time.monotonic()
        # Seconds that the latest write took: it copies the weights of every run.
        self._writing = 0.0
        self._resume()
        self._lines = EpochLines(self.stack.max_epochs, self.stack.epoch)

    def _resume(self) -> None:
        paths = [path for member in self.members if (path := member.run.resume_path())]
        if paths:
            checkpoints = [read_checkpoint(path) for path in paths]
            self.stack.resume(checkpoints)
            for member, checkpoint in zip(self.members, checkpoints, strict=True):
                check_same_files(checkpoint[CHECKPOINT_KEY], member.data, "dataset.root")
                member.load_callback_states(checkpoint["callbacks"])
            self._leave([None] * len(paths))

    def train(self) -> None:
        """Train to the last epoch, then test and finish every run."""
        epoch, epochs = self.stack.epoch, self.stack.max_epochs
        log.info("stack    %d runs as one, from epoch %d of %d", len(self.members), epoch, epochs)
        for member in self.members:
            if remark := member.module.beta_schedule.remark():
                member.log(logging.INFO, "%s", remark)
        while self.members and self.stack.epoch < epochs:
            self._epoch()
        self.trained += self.members
        if self.trained:
            self._test()

    def _epoch(self) -> None:
        started = time.perf_counter()
        rows = self.stack.train_epoch(self.guard.stop_if_interrupted)
        seconds = (time.perf_counter() - started) / len(rows)
        if self.members[0].data.has_validation:
            rows = [row | more for row, more in zip(rows, self.stack.validate(), strict=True)]
        errors = [self._failure(row) for row in rows]
        fine = [number for number, error in enumerate(errors) if error is None]
        for number in fine:
            self._observe(number, rows[number], seconds)
        is_last = self.stack.epoch == self.stack.max_epochs or any(member.has_stopped for member in self.members)
        pause = max(self.members[0].seconds_between_writes, self._writing / SHARE_OF_WRITING)
        if is_last or time.monotonic() - self._saved >= pause:
            self._save(fine)
        self._show(rows)
        self._leave(errors)
        self.guard.stop_if_interrupted()

    def _save(self, numbers: Sequence[int]) -> None:
        started = time.monotonic()
        for number in numbers:
            member = self.members[number]
            member.save(self.stack.checkpoint(number, member.callback_states()))
        self._saved = time.monotonic()
        self._writing = self._saved - started

    def _show(self, rows: Sequence[Scores]) -> None:
        losses = sorted(row["train/loss"] for row in rows)
        level = self._lines.level(self.stack.epoch)
        if level >= logging.INFO:
            text = "stack    %s  train/loss of %d runs: %.4f to %.4f"
            log.info(text, self._lines.text(self.stack.epoch), len(rows), losses[0], losses[-1])

    def _failure(self, row: Scores) -> NonFiniteLossError | None:
        loss = row["train/loss"]
        return None if math.isfinite(loss) else NonFiniteLossError.of(self.stack.epoch - 1, loss)

    def _observe(self, number: int, row: Scores, seconds: float) -> None:
        member, epoch = self.members[number], self.stack.epoch - 1
        member.observe(epoch, row, seconds, self.stack.kl_per_latent[number])
        self.stack.optimizer.rates[number].step(row.get("val/loss", row["train/loss"]))
        is_last = self.stack.epoch == self.stack.max_epochs or member.has_stopped
        if member.improves(epoch, is_last, row, self.stack.is_annealed(number)):
            member.best = self.stack.checkpoint(number, member.callback_states())

    def _leave(self, errors: Sequence[BaseException | None]) -> None:
        """Take runs that failed or stopped early out of the stack."""
        kept = []
        for number, (member, error) in enumerate(zip(self.members, errors, strict=True)):
            if error is not None:
                member.log(logging.ERROR, "failed   %s: %s", member.run.folder, error)
                member.close(error)
            elif member.has_stopped:
                self.trained.append(member)
            else:
                kept.append(number)
        if kept and len(kept) < len(self.members):
            self.stack.keep(kept)
        self.members = [self.members[number] for number in kept]

    def _test(self) -> None:
        """Test each run with the weights that it is tested with alone, and finish it."""
        chosen = [member.run.checkpoint_path() for member in self.trained]
        weights = [vae_weights(read_checkpoint(path)) for path in chosen]
        device = self.stack.device
        # Its weights and averages would lie beside those that are tested.
        del self.stack
        every = _stack(self.trained).test(weights)
        for member, path, own, scores in zip(self.trained, chosen, weights, every, strict=True):
            self.guard.stop_if_interrupted()
            warn_of_infinite(scores)
            member.module.to(device).vae.load_state_dict(own)
            member.finish(scores, path.stem)
            member.module.cpu()


def _stack(members: Sequence[Member]) -> Stack:
    trainer = members[0].config["trainer"]
    device = choose_device(trainer["accelerator"])
    warn_of_slow_options(members[0].config, device.type)
    return Stack(
        [member.module for member in members],
        members[0].data,
        [member.data.order_seed for member in members],
        trainer["max_epochs"],
        trainer.get("gradient_clip_val"),
        device,
        mixed=trainer["precision"] == "bf16-mixed",
    )
