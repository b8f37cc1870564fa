"""One run on two devices, here CPU processes (pytest -m slow tests/runs/test_devices.py)."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest
import torch

from tests.support.composing import composed
from tests.support.processes import command, wait_for
from vae_hydra.runs.checkpoint import read_checkpoint
from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import train
from vae_hydra.training.history import read_epochs

TWO = ("trainer.devices=2", "+trainer.strategy=ddp")
# 1,294 training examples: the last batch of 13 makes unequal shares.
BASIC = ("noise=uniform", "trainer.max_epochs=4", "dataset.batch_size=21")


def trained(folder, *overrides: str) -> Run:
    result = subprocess.run(command(folder, *BASIC, *overrides), capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("test scores") == 1
    (path,) = folder.glob("digits-*")
    return Run(path)


def assert_same_run(run: Run, other: Run, tolerance: float) -> None:
    assert run.metrics == pytest.approx(other.metrics, rel=tolerance, abs=tolerance)
    states = [read_checkpoint(one.folder / "last.ckpt")["state_dict"] for one in (run, other)]
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name], rtol=tolerance, atol=tolerance)
    rows = [read_epochs(one.folder / "metrics.csv") for one in (run, other)]
    for row, wanted in zip(*rows, strict=True):
        timed = "train/seconds_per_epoch"
        assert {**row, timed: 0} == pytest.approx({**wanted, timed: 0}, rel=tolerance, abs=tolerance)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("model=conv", "model.channels=[4,8]", "dataset.binarise=dynamic", "likelihood=bernoulli"),
        # Weights of draws are exponentials, which amplify rounding.
        (
            *("objective=dreg", "objective.draws=4", "trainer.precision=64-true"),
            *("+trainer.accumulate_grad_batches=2", "trainer.gradient_clip_val=1"),
        ),
        ("sampler=gamma", "trainer.precision=64-true", "scheduler=plateau"),
    ],
    ids=["normal", "binarised anew", "dreg", "gamma"],
)
def test_a_run_is_the_same_on_one_and_two_devices(options, tmp_path):
    one, two = trained(tmp_path / "one", *options), trained(tmp_path / "two", *options, *TWO)
    assert_same_run(one, two, 1e-3)
    assert two.record["devices"] == 2
    assert "devices" not in one.record


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_run_on_two_devices_goes_on_after_a_signal(sent, tmp_path):
    whole = trained(tmp_path / "whole", "trainer.max_epochs=12", *TWO)
    words = command(tmp_path / "cut", *BASIC, "trainer.max_epochs=12", *TWO)
    with subprocess.Popen(words, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        wait_for(lambda: len(epochs(tmp_path / "cut")) >= 3, process, 120)
        if sent == signal.SIGKILL:
            os.killpg(process.pid, sent)
        else:
            process.send_signal(sent)
        process.wait(120)
    (path,) = (tmp_path / "cut").glob("digits-*")
    assert len(epochs(tmp_path / "cut")) < 12
    assert Run(path).record["status"] == ("running" if sent == signal.SIGKILL else "interrupted")
    assert_same_run(trained(tmp_path / "cut", "trainer.max_epochs=12", *TWO), whole, 1e-6)


def epochs(folder) -> list:
    found = list(folder.glob("digits-*/metrics.csv"))
    return read_epochs(found[0]) if found else []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("+trainer.use_distributed_sampler=true",), "each device takes its rows of every batch"),
        (("compile=true", "trainer=ddp", "trainer.accelerator=cpu"), "not the shared draws of several"),
    ],
)
def test_what_several_devices_exclude_is_refused(options, message, tmp_path):
    config = composed(*options, f"output_dir={tmp_path}")
    with pytest.raises(ValueError, match=message):
        train(config)
    assert not list(tmp_path.iterdir())
