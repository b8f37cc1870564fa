"""Launchers for submitit without a cluster: options, waiting for jobs, and what a job does when its time is over.

tests/slurm has the same on a real SLURM.
"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
import warnings
from types import SimpleNamespace

import psutil
import pytest
from hydra import compose
from hydra.core.utils import JobStatus

from tests.support.composing import CONF, REPOSITORY
from tests.support.processes import command, wait_for
from vae_hydra import train
from vae_hydra.base.hydra_versions import initialized
from vae_hydra.base.memory import free_memory
from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import exit_when_interrupted
from vae_hydra.runs.train import train as train_run
from vae_hydra.studies.sweep import slurm_queue, submitit_launcher
from vae_hydra.studies.sweep.submitit_job import Resumable
from vae_hydra.studies.sweep.submitit_launcher import SlurmLauncher
from vae_hydra.training.callbacks.guards import Interrupted, InterruptGuard

SLURM = "hydra/launcher=submitit_slurm"


def launcher_options(*overrides: str) -> dict:
    with initialized(CONF):
        return compose("train", list(overrides), return_hydra_config=True).hydra.launcher


def test_our_options_stand_in_for_those_of_the_plugin():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        slurm = launcher_options(SLURM, "hydra.launcher.mem_gb=1.5", "hydra.launcher.partition=short")
    assert (slurm.mem_gb, slurm.partition, slurm._target_) == (1.5, "short", "hydra_plugins.vae_hydra.Slurm")
    assert slurm.max_num_timeout > 0
    assert launcher_options("hydra/launcher=submitit_local").cpus_per_task == 1


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("mem_gb=-1", "hydra.launcher.mem_gb must be a number > 0, but got -1"),
        ("mem_gb=4GB", "hydra.launcher.mem_gb must be a number > 0, but got '4GB'"),
        ("timeout_min=1.5", "hydra.launcher.timeout_min must be an integer ≥ 1, but got 1.5"),
        ("max_num_timeout=-1", "hydra.launcher.max_num_timeout must be an integer ≥ 0, but got -1"),
        ("timeout_min=2", "signal_delay_s must be less than the 120 s of hydra.launcher.timeout_min, but is 120"),
        ("timeout_min=null", "hydra.launcher.timeout_min must be an integer ≥ 1, but got None"),
        ("cpus_per_task=0", "hydra.launcher.cpus_per_task must be an integer ≥ 1, but got 0"),
        ("array_parallelism=a", "hydra.launcher.array_parallelism must be an integer ≥ 1, but got 'a'"),
        ("gpus_per_node=a", "hydra.launcher.gpus_per_node must be an integer ≥ 0, but got 'a'"),
        ("setup=foo", "hydra.launcher.setup must be a list of words"),
        ("partitions=a", "hydra.launcher.partitions: there is no such option"),
    ],
)
def test_values_that_cannot_work_are_refused_before_the_sweep(option, message, run_command, tmp_path):
    code, text = run_command(train, "-m", "seed=0,1", SLURM, f"hydra.launcher.{option}")
    assert code != 0
    assert message in text
    assert "Traceback" not in text
    assert not list(tmp_path.glob("outputs/digits-*"))


def test_a_folder_that_submitit_would_rename_is_refused(run_command, tmp_path):
    code, text = run_command(train, "-m", "seed=0,1", SLURM, "output_dir='runs %j'")
    assert code != 0
    assert "output_dir: submitit writes a job's files below it and replaces what follows a %" in text
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.slow
def test_ctrl_c_lets_local_processes_save_their_runs(tmp_path):
    """`pytest -m slow tests/studies/test_submitit.py`, half a minute."""
    pytest.importorskip("submitit", reason="needs the extra slurm")
    options = ("seed=0,1", "dataset.fraction=0.02", "trainer.max_epochs=100000", "hydra/launcher=submitit_local", "-m")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    sweep = subprocess.Popen(
        command(tmp_path, *options), env=environment, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: len(list(tmp_path.glob("*/last.ckpt"))) == 2, sweep)
    processes = psutil.Process(sweep.pid).children(recursive=True)
    # As a terminal does: to the sweep, and to every process that it has started.
    os.killpg(sweep.pid, signal.SIGINT)
    assert sweep.wait(timeout=30) == 130
    assert not psutil.wait_procs(processes, timeout=30)[1]
    assert [Run(path.parent).record["status"] for path in tmp_path.glob("*/run.json")] == ["interrupted"] * 2
    assert all("Interrupted" in Run(path.parent).record["error"] for path in tmp_path.glob("*/run.json"))
    assert "Traceback" not in sweep.stderr.read()


def test_without_the_plugin_the_error_says_what_to_install(run_command, monkeypatch):
    monkeypatch.setitem(sys.modules, "hydra_plugins.hydra_submitit_launcher", None)
    monkeypatch.setitem(sys.modules, "hydra_plugins.hydra_submitit_launcher.submitit_launcher", None)
    code, text = run_command(train, "-m", "seed=0,1", SLURM)
    assert code == 2
    assert "needs hydra-submitit-launcher; pip install 'vae_hydra[slurm]'" in text


class Job:
    """submitit's job as far as waiting needs it."""

    def __init__(self, job_id, folder):
        self.job_id = job_id
        self.paths = SimpleNamespace(result_pickle=folder / job_id, stderr=folder / f"{job_id}.err")

    def results(self):
        raise RuntimeError("a traceback\nof several lines\n")


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(submitit_launcher, "POLL", 0.01)
    monkeypatch.setattr(submitit_launcher, "LATE", 0.3)


def test_waiting_ends_with_results_and_with_jobs_that_are_gone(quick, tmp_path):
    done, gone, again = jobs = [Job(f"7_{number}", tmp_path) for number in range(3)]
    began, asked = time.monotonic(), []

    def unfinished():
        asked.append(time.monotonic() - began)
        if len(asked) == 3:
            done.paths.result_pickle.touch()
        if asked[-1] > 1:
            again.paths.result_pickle.touch()
        # SLURM does not answer once, and one job is away for a moment.
        return None if len(asked) == 2 else {done.job_id} if len(asked) == 4 else {done.job_id, again.job_id}

    submitit_launcher._wait(jobs, unfinished, interval=0.02)
    assert asked[-1] > 1
    assert not gone.paths.result_pickle.exists()
    lost = submitit_launcher._outcome(gone)
    assert lost.status == JobStatus.FAILED
    assert "job 7_1 ended without a result: it was killed or cancelled" in str(lost._return_value)
    assert "of several lines; its log is" in str(submitit_launcher._outcome(done)._return_value)


@pytest.fixture
def slurm_commands(tmp_path, monkeypatch):
    """Stand-ins of SLURM's commands: squeue prints a file, scancel notes its arguments in another."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, body in {"squeue": f"cat {tmp_path}/queue", "scancel": f'echo "$@" >> {tmp_path}/cancelled'}.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return tmp_path


def test_the_queue_is_read_and_no_answer_is_not_an_empty_queue(slurm_commands):
    assert slurm_queue.unfinished() is None
    (slurm_commands / "queue").write_text("12_0 RUNNING\n12_1 PENDING\n12_2 CANCELLED\n13 COMPLETED\n14 COMPLETING\n")
    assert slurm_queue.unfinished() == {"12_0", "12_1", "14"}
    slurm_queue.cancel(["12_1", "12_0"])
    slurm_queue.cancel([])
    assert (slurm_commands / "cancelled").read_text() == "12_0 12_1\n"


def test_a_sweep_waits_for_its_own_earlier_jobs_only(slurm_commands, monkeypatch, caplog):
    monkeypatch.setattr(SlurmLauncher, "interval", 0.05)
    launcher = SlurmLauncher(str(slurm_commands / ".submitit" / "%j"), 3, timeout_min=60)
    queue = slurm_commands / "queue"
    queue.write_text("12_0 RUNNING\n12_1 PENDING\n99 RUNNING\n")
    launcher.wait_for_earlier_jobs()
    (slurm_commands / ".submitit" / "12_1").mkdir(parents=True)
    ended = threading.Event()
    # In between SLURM does not answer.
    threading.Timer(0.2, queue.unlink).start()
    threading.Timer(0.5, lambda: (queue.write_text("99 RUNNING\n"), ended.set())).start()
    with caplog.at_level("INFO"):
        launcher.wait_for_earlier_jobs()
    assert ended.is_set()
    assert "1 jobs of an earlier start" in caplog.text
    queue.unlink()
    with pytest.raises(ValueError, match="squeue does not answer"):
        launcher.wait_for_earlier_jobs()


def test_jobs_that_cannot_be_ended_are_a_warning(slurm_commands, caplog):
    (slurm_commands / "bin" / "scancel").write_text("#!/bin/sh\nexit 1\n")
    slurm_queue.cancel(["12_0"])
    assert "end them with: scancel 12_0" in caplog.text


def test_an_error_without_a_text_is_named(tmp_path):
    class Broken(Job):
        def results(self):
            raise EOFError

    job = Broken("7_1", tmp_path)
    job.paths.result_pickle.touch()
    assert "ended without a result: EOFError" in str(submitit_launcher._outcome(job)._return_value)


@pytest.fixture
def answered():
    """How often a handler answered SIGUSR2, as that of submitit does by starting the job again."""
    calls = []

    def answer(signum, frame):
        calls.append(signum)
        raise SystemExit(255)

    before = signal.signal(signal.SIGUSR2, answer)
    term = signal.getsignal(signal.SIGTERM)
    yield calls
    signal.signal(signal.SIGUSR2, before)
    signal.signal(signal.SIGTERM, term)


def test_a_run_saves_itself_at_the_signal_of_submitit_and_goes_on(answered, configure, cut_off):
    whole = train_run(configure("trainer.max_epochs=3"))
    config = configure("trainer.max_epochs=3", name="train") | {"output_dir": str(configure()["output_dir"]) + "-cut"}
    stop = cut_off(config, epoch=1, batch=3, signum=signal.SIGUSR2)
    assert (stop.signum, answered) == (signal.SIGUSR2, [])
    assert Run.of(config).record["status"] == "interrupted"
    with pytest.raises(SystemExit) as ended, exit_when_interrupted():
        raise stop
    assert (ended.value.code, answered) == (255, [signal.SIGUSR2])
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    assert train_run(config) == whole


@pytest.mark.parametrize("signals", [("SIGTERM", "SIGUSR2"), ("SIGUSR2", "SIGTERM"), ("SIGUSR2", "SIGUSR2")])
def test_the_signal_to_start_again_counts_more_than_sigterm(answered, signals):
    with InterruptGuard() as guard:
        for name in signals:
            signal.raise_signal(getattr(signal, name))
        with pytest.raises(Interrupted, match="SIGUSR2"):
            guard.stop_if_interrupted()
    assert answered == []


def test_without_a_handler_the_signal_is_left_alone():
    before = signal.getsignal(signal.SIGUSR2)
    with InterruptGuard():
        assert signal.getsignal(signal.SIGUSR2) == before


@pytest.mark.parametrize(("minutes", "ran", "expected"), [(10, 60, False), (10, 400, True), (60, 3100, False)])
def test_only_the_end_of_a_jobs_time_is_a_time_out(minutes, ran, expected, monkeypatch):
    environment = pytest.importorskip("submitit.core.job_environment", reason="needs the extra slurm")
    delayed = SimpleNamespace(_timeout_min=minutes)
    handler = environment.SignalHandler(None, None, delayed)
    handler._start_time = time.time() - ran
    monkeypatch.setattr(signal, "getsignal", lambda signum: handler.checkpoint_and_try_requeue)
    monkeypatch.setattr(signal, "signal", lambda signum, handler: None)
    assert Resumable(lambda text: text * 2, signal_delay=120)("ab") == "abab"
    assert handler.has_timed_out() is expected


def test_sigterm_ends_a_job_that_does_not_train(monkeypatch):
    pytest.importorskip("submitit", reason="needs the extra slurm")
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as ended:
            Resumable(lambda: signal.raise_signal(signal.SIGTERM), signal_delay=120)()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 143


def test_memory_that_slurm_grants_is_the_most_that_is_free(monkeypatch):
    import torch

    monkeypatch.setenv("SLURM_MEM_PER_NODE", "1000000000")
    much = free_memory(torch.device("cpu"))
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "1")
    assert free_memory(torch.device("cpu")) < 2**20 < much
