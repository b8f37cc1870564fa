"""Sweeps on a real SLURM, disturbed in every way that a cluster has: ``make test-slurm``, some minutes, as root."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.slurm.hold import VARIABLE
from tests.slurm.node import one_node, reason_against
from tests.support.composing import REPOSITORY
from tests.support.processes import command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SMALL = ("dataset.fraction=0.02", "dataset.batch_size=8", "trainer.max_epochs=3", "~test_noises", "-m")
CELLS = (*SMALL, "sampler=normal,lognormal,inverse_gaussian", "noise=none,uniform", "seed=0,1")
HELD = ("+callbacks.hold._target_=tests.slurm.hold.Hold",)
# The end is announced after 200 to 230 seconds, which leaves a busy machine time to start the jobs that are disturbed.
SLURM = (
    *("hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=0.5"),
    *("hydra.launcher.timeout_min=4", "hydra.launcher.signal_delay_s=10"),
)


@pytest.fixture(scope="module")
def slurm():
    """The environment of a SLURM of one node."""
    pytest.importorskip("submitit", reason="hydra-submitit-launcher is not installed (the extra slurm)")
    if reason := reason_against():
        pytest.skip(reason)
    with one_node(cpus=6) as environment:
        yield {**environment, "PYTHONPATH": str(REPOSITORY)}


def start(folder: Path, environment: dict[str, str], *options: str) -> subprocess.Popen:
    with (folder.parent / f"{folder.name}.out").open("a") as output:
        return subprocess.Popen(command(folder, *options), env=environment, stdout=output, stderr=output)


def printed(folder: Path) -> str:
    return (folder.parent / f"{folder.name}.out").read_text()


def scores(folder: Path) -> dict[str, dict[str, float]]:
    return {path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/metrics.json")}


def wait_until(condition, what: str, seconds: float = 400) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds:g} s: {what}"
        time.sleep(0.2)


class Held:
    """A run that waits in its second epoch."""

    def __init__(self, name: str, hold: Path, runs: Path) -> None:
        self.file, self.log = hold / name, runs / name / "train.log"
        self.file.touch()

    def wait(self) -> dict:
        """Its process and its job, once it waits."""
        place = self.file.with_suffix(".held")
        wait_until(lambda: place.is_file() and place.read_text(), f"{self.file.name} trains")
        return json.loads(place.read_text())

    def release(self) -> None:
        self.file.unlink()

    def let_go_after(self, signal_name: str) -> None:
        """Let it train on once the signal has come."""
        wait_until(lambda: f"{signal_name} received" in self.log.read_text(), f"{signal_name} in {self.log}")
        self.release()


def test_a_disturbed_sweep_ends_with_the_scores_of_an_undisturbed_one(slurm, tmp_path):
    whole, disturbed, hold = tmp_path / "whole", tmp_path / "disturbed", tmp_path / "hold"
    assert start(whole, slurm, *CELLS, *HELD).wait() == 0
    expected = scores(whole)
    assert len(expected) == 12

    hold.mkdir()
    names = sorted(expected)
    killed, late, preempted, cancelled = (Held(names[number], hold, disturbed) for number in (1, 4, 7, 10))
    sweep = start(disturbed, {**slurm, VARIABLE: str(hold)}, *CELLS, *HELD, *SLURM)
    os.kill(killed.wait()["process"], signal.SIGKILL)
    killed.release()
    subprocess.run(["scontrol", "requeue", preempted.wait()["job"]], env=slurm, check=True)
    preempted.let_go_after("SIGTERM")
    subprocess.run(["scancel", cancelled.wait()["job"]], env=slurm, check=True)
    cancelled.let_go_after("SIGTERM")
    late.let_go_after("SIGUSR2")
    assert sweep.wait(timeout=600) == 1
    assert "1 interrupted" in printed(disturbed)
    assert "10 done" in printed(disturbed)
    assert "ended without a result: it was killed or cancelled" in printed(disturbed)

    assert start(disturbed, slurm, *CELLS, *HELD, *SLURM).wait() == 0
    assert "12 runs, 2 to go" in printed(disturbed)
    assert scores(disturbed) == expected
    for run in (killed, late, preempted, cancelled):
        assert "(going on)" in run.log.read_text()
    assert "Traceback" not in printed(disturbed)


def test_stacks_go_on_after_a_warning_and_when_their_node_fails(slurm, tmp_path):
    whole, disturbed = tmp_path / "whole", tmp_path / "disturbed"
    cells = ("sampler=normal,lognormal", "noise=none,uniform", "seed=0,1,2")
    stacks = (*SMALL, *cells, "trainer.max_epochs=600", "stack=6")
    assert start(whole, slurm, *stacks).wait() == 0
    enough = ("hydra.launcher.timeout_min=30", "hydra.launcher.mem_gb=4")
    sweep = start(disturbed, slurm, *stacks, *SLURM[:2], *enough)
    logs = lambda: "".join(path.read_text() for path in disturbed.glob("sweeps/*/.submitit/*/*.out"))  # noqa: E731
    wait_until(lambda: len(list(disturbed.glob("*/last.ckpt"))) == 12, "all runs have checkpoints")
    # As a cluster that announces a preemption with the signal of a time-out.
    (job, *_) = sorted(path.name for path in disturbed.glob("sweeps/*/.submitit/*_0"))
    subprocess.run(["scancel", "--signal=USR2", job], env=slurm, check=True)
    wait_until(lambda: logs().count("Loading pickle") == 3, "the job starts again")
    node = ["scontrol", "update", "nodename=one"]
    subprocess.run([*node, "state=down", "reason=test"], env=slurm, check=True)
    time.sleep(5)
    # An error where the node has come back by itself.
    subprocess.run([*node, "state=resume"], env=slurm, check=False)
    assert sweep.wait(timeout=900) == 0, printed(disturbed)
    assert "with 2 parts" in printed(disturbed)
    assert "this job is preempted" in logs()
    assert logs().count("Loading pickle") >= 4
    assert "6 runs as one, from epoch 0" in logs()
    assert scores(disturbed) == scores(whole)
    assert len(scores(whole)) == 12


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_jobs_outlive_a_killed_sweep_and_end_with_a_stopped_one(ending, slurm, tmp_path):
    """The same command waits for the jobs that are left, and trains only what they did not."""
    sweep_of = (*SMALL, "seed=0,1,2", *HELD)
    whole, disturbed, hold = tmp_path / "whole", tmp_path / "disturbed", tmp_path / "hold"
    assert start(whole, slurm, *sweep_of).wait() == 0
    hold.mkdir()
    held = Held(min(scores(whole)), hold, disturbed)
    environment = {**slurm, VARIABLE: str(hold)}
    first = start(disturbed, environment, *sweep_of, *SLURM)
    held.wait()
    first.send_signal(ending)
    assert first.wait(timeout=60) == (-9 if ending == signal.SIGKILL else 130)
    again = start(disturbed, environment, *sweep_of, *SLURM)
    if ending == signal.SIGKILL:
        wait_until(lambda: "of an earlier start of this sweep" in printed(disturbed), "the second start waits")
        held.release()
        wait_until(lambda: "3 runs, 0 to go" in printed(disturbed), "the jobs of the first start do all")
    else:
        held.let_go_after("SIGTERM")
    assert again.wait(timeout=300) == 0, printed(disturbed)
    assert scores(disturbed) == scores(whole)


def test_local_processes_go_on_after_a_time_out(slurm, tmp_path):
    sweep_of = (*SMALL, "seed=0,1", *HELD)
    whole, local, hold = tmp_path / "whole", tmp_path / "local", tmp_path / "hold"
    assert start(whole, slurm, *sweep_of).wait() == 0
    hold.mkdir()
    held = Held(min(scores(whole)), hold, local)
    options = ("hydra/launcher=submitit_local", "hydra.launcher.timeout_min=1")
    sweep = start(local, {**slurm, VARIABLE: str(hold)}, *sweep_of, *options)
    held.wait()
    held.let_go_after("SIGUSR2")
    assert sweep.wait(timeout=200) == 0, printed(local)
    assert "(going on)" in held.log.read_text()
    assert scores(local) == scores(whole)
