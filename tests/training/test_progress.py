"""What a run says while it trains, and when its files are written."""

from __future__ import annotations

import logging

import pytest
import torch

from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import train
from vae_hydra.training.callbacks import Checkpoints, progress
from vae_hydra.training.callbacks.progress import EpochLines
from vae_hydra.training.history import read_epochs
from vae_hydra.training.module import VAEModule

RARELY = ("callbacks.checkpoints.every_seconds=1000", "trainer.max_epochs=4")


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set: clock.now = 12."""

    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def levels(lines: EpochLines, clock, epochs: range, seconds: float) -> list[int]:
    """Epochs with a line on the screen, where each epoch takes ``seconds``."""
    shown = []
    for epoch in epochs:
        clock.now += seconds
        if lines.level(epoch) == logging.INFO:
            shown.append(epoch)
    return shown


def test_the_first_and_the_last_epoch_have_a_line_and_others_every_ten_seconds(clock):
    assert levels(EpochLines(50), clock, range(1, 51), 1.0) == [1, 11, 21, 31, 41, 50]
    assert levels(EpochLines(50), clock, range(1, 51), 0.01) == [1, 50]
    assert levels(EpochLines(50, first=40), clock, range(41, 51), 0.01) == [41, 50]
    assert levels(EpochLines(3), clock, range(1, 4), 60.0) == [1, 2, 3]


def test_one_of_many_runs_has_only_the_line_every_ten_seconds(clock):
    assert levels(EpochLines(50, quiet=True), clock, range(1, 51), 0.01) == []
    assert levels(EpochLines(30, quiet=True), clock, range(1, 31), 4.0) == [3, 6, 9, 12, 15, 18, 21, 24, 27, 30]


def test_the_time_left_is_that_of_the_epochs_so_far(clock):
    lines = EpochLines(50, first=10)
    clock.now = 100.0
    assert lines.text(30) == "epoch 30 of 50, 1 min 40 s left"
    assert lines.text(50) == "epoch 50 of 50"


def test_the_log_of_a_run_has_every_epoch_with_its_losses(configure):
    config = configure(*RARELY)
    train(config)
    run = Run.of(config)
    text = (run.folder / "train.log").read_text()
    for row in read_epochs(run.folder / "metrics.csv"):
        (line,) = (line for line in text.splitlines() if f"epoch {int(row['epoch']) + 1} of 4" in line)
        assert f"train/loss {row['train/loss']:.4f}" in line
        assert f"val/loss {row['val/loss']:.4f}" in line


def test_a_bar_counts_epochs(configure, monkeypatch):
    bars = []

    class Bar:
        n = 0.0

        def __init__(self, **options):
            self.options, self.seen, self.text, self.closed = options, [], "", False
            bars.append(self)

        def refresh(self):
            self.seen.append(self.n)

        def set_postfix_str(self, text, refresh):
            self.text = text

        def close(self):
            self.closed = True

    monkeypatch.setattr(progress, "tqdm", Bar)
    monkeypatch.setattr(progress.sys.stdout, "isatty", lambda: True, raising=False)
    train(configure("trainer.max_epochs=2", "callbacks.progress.refresh_rate=7"))
    (bar,) = bars
    assert (bar.options["total"], bar.options["initial"], bar.closed) == (2, 0, True)
    # 21 batches an epoch, shown at 7, 14 and 21, and at the end of the epoch.
    assert bar.seen == pytest.approx([1 / 3, 2 / 3, 1, 1, 4 / 3, 5 / 3, 2, 2])
    assert "train/loss" in bar.text


def checkpoint(run: Run, name: str) -> dict:
    return torch.load(run.folder / name, weights_only=True)


def test_files_are_written_every_few_seconds_and_hold_the_same(configure, monkeypatch):
    often, rarely = configure("trainer.max_epochs=4"), configure(*RARELY)
    rarely["output_dir"] += "-rarely"
    written, save = [], Checkpoints._save

    def counting(self, trainer, name):
        written.append(name)
        save(self, trainer, name)

    monkeypatch.setattr(Checkpoints, "_save", counting)
    train(often)
    assert len(written) == 4
    written.clear()
    train(rarely)
    assert len(written) == 1
    one, other = Run.of(often), Run.of(rarely)
    assert one.name == other.name
    assert one.metrics == other.metrics
    for name in ("best.ckpt", "last.ckpt"):
        saved, expected = checkpoint(other, name), checkpoint(one, name)
        assert saved["epoch"] == expected["epoch"]
        for key, value in expected["state_dict"].items():
            assert torch.equal(saved["state_dict"][key], value), key
    keep = "train/loss"
    rows, expected = (read_epochs(run.folder / "metrics.csv") for run in (other, one))
    assert [row[keep] for row in rows] == [row[keep] for row in expected]


@pytest.mark.parametrize("moment", ["interrupted", "killed"])
def test_a_run_that_was_stopped_between_two_writes_ends_as_one_that_was_not(moment, configure, cut_off, monkeypatch):
    whole, cut = configure(*RARELY, "optimizer.lr=0.02"), configure(*RARELY, "optimizer.lr=0.02")
    cut["output_dir"] += "-cut"
    train(whole)
    run = Run.of(cut)
    if moment == "interrupted":
        cut_off(cut, epoch=2, batch=3)
    else:
        with monkeypatch.context() as patch:
            patch.setattr(VAEModule, "training_step", _killed_in_epoch_2)
            with pytest.raises(MemoryError):
                train(cut)
    assert (run.folder / "last.ckpt").is_file() == (moment == "interrupted")
    assert len(read_epochs(run.folder / "metrics.csv")) == (2 if moment == "interrupted" else 0)
    train(cut)
    assert run.metrics == Run.of(whole).metrics
    assert checkpoint(run, "best.ckpt")["epoch"] == checkpoint(Run.of(whole), "best.ckpt")["epoch"]
    assert len(read_epochs(run.folder / "metrics.csv")) == 4


def _killed_in_epoch_2(self, batch, batch_idx, step=VAEModule.training_step):
    if self.current_epoch == 2:
        raise MemoryError("stands for a kill")
    return step(self, batch, batch_idx)


def test_denormal_numbers_are_flushed_in_a_step_of_the_optimizer_and_nowhere_else(configure, monkeypatch):
    small = torch.tensor(1e-30)
    products = {"forward": [], "step": []}
    forward, fused = VAEModule._step, torch._fused_adam_

    def watched(self, *args):
        products["forward"].append(float(small * 1e-10))
        return forward(self, *args)

    def watched_step(*args, **kwargs):
        products["step"].append(float(small * 1e-10))
        return fused(*args, **kwargs)

    monkeypatch.setattr(VAEModule, "_step", watched)
    monkeypatch.setattr(torch, "_fused_adam_", watched_step)
    train(configure("trainer.max_epochs=1"))
    assert set(products["step"]) == {0.0}
    assert all(value > 0 for value in products["forward"])
