"""Killed processes and their leftovers: workers, locks and unfinished files."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from tests.support.composing import REPOSITORY
from tests.support.processes import command, wait_for
from vae_hydra.base.files import remove_leftovers, replace_atomically, replacing_folder
from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import train
from vae_hydra.studies.sweep.workers import end_with_parent

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY)}

# A process whose child, as joblib's, notes the signal that it ends with.
PARENT = """
import multiprocessing, os, pathlib, signal, sys, time
from vae_hydra.studies.sweep import workers

def child(folder):
    folder = pathlib.Path(folder)
    def note(*_):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        (folder / "saved").touch()
    signal.signal(signal.SIGTERM, note)
    workers.WATCH_INTERVAL = 0.05
    workers.end_with_parent()
    workers.end_with_parent()
    (folder / "child").write_text(str(os.getpid()))
    while True:
        time.sleep(0.05)

if __name__ == "__main__":
    multiprocessing.get_context("spawn").Process(target=child, args=(sys.argv[1],)).start()
    time.sleep(60)
"""


def test_a_worker_saves_and_ends_when_its_parent_is_killed(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    process = subprocess.Popen([sys.executable, str(tmp_path / "parent.py"), str(tmp_path)], env=ENVIRONMENT)
    noted = tmp_path / "child"
    wait_for(lambda: noted.is_file() and noted.read_text(), process)
    child = psutil.Process(int(noted.read_text()))
    time.sleep(0.3)
    assert child.is_running()
    assert not (tmp_path / "saved").exists()
    process.kill()
    process.wait()
    assert not psutil.wait_procs([child], timeout=20)[1]
    assert (tmp_path / "saved").exists()


def test_the_process_that_a_user_started_does_not_watch_its_parent():
    before = threading.active_count()
    end_with_parent()
    assert threading.active_count() == before


@pytest.mark.slow
def test_a_joblib_sweep_that_is_killed_leaves_no_workers_and_goes_on_at_once(tmp_path):
    launcher = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    sweep = [*command(tmp_path, "seed=0,1", "trainer.max_epochs=30", *launcher), "-m"]
    process = subprocess.Popen(sweep, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: len(list(tmp_path.glob("digits-*/last.ckpt"))) == 2, process, seconds=200)
    workers = [child for child in psutil.Process(process.pid).children() if "loky" in " ".join(child.cmdline())]
    assert len(workers) >= 2
    process.kill()
    process.wait()
    again = subprocess.run(sweep, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "another process is training" not in again.stdout + again.stderr
    assert not psutil.wait_procs(workers, timeout=10)[1]
    assert [Run(folder).record["status"] for folder in tmp_path.glob("digits-*")] == ["done", "done"]


def test_a_start_waits_for_a_process_that_is_about_to_end(configure, caplog):
    config = configure()
    run = Run.of(config)
    run.folder.mkdir(parents=True)
    lock = FileLock(run.folder / ".lock", thread_local=False)
    lock.acquire()
    with caplog.at_level("INFO"):
        with pytest.raises(ValueError, match="another process is training"), run.writing(config, wait=0.1):
            pytest.fail("two processes own the run")
        threading.Timer(0.5, lock.release).start()
        with run.writing(config, wait=20):
            assert run.record["status"] == "running"
    assert f"waiting  up to 20 s for another process that is training {run.folder}" in caplog.text


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def names_of(path, replaced_by=None):
    """The temporary name of ``path`` as a process gives it, with the number of that process replaced."""
    seen = []
    replace_atomically(path, lambda temporary: (seen.append(temporary), temporary.write_text("half"))[1])
    path.unlink()
    return seen[0].with_name(seen[0].name.replace(f".{os.getpid()}.", f".{replaced_by}."))


def test_leftovers_of_processes_that_are_gone_are_removed_and_of_no_other(configure, tmp_path):
    config = configure()
    folder = Run.of(config).folder
    (folder / "figures").mkdir(parents=True)
    gone = [names_of(place / "best.ckpt", dead_process()) for place in (folder, folder / "figures")]
    alive = names_of(folder / "best.ckpt", psutil.Process().ppid())
    elsewhere = gone[0].with_name(f".best.ckpt.another-host.{dead_process()}.tmp")
    ours = folder / ".notes.tmp"
    for path in (*gone, alive, elsewhere, ours):
        path.write_text("half")
    train(config)
    assert [path.exists() for path in (*gone, alive, elsewhere, ours)] == [False, False, True, True, True]


@pytest.mark.parametrize("complete", [True, False])
def test_a_folder_that_was_not_replaced_is_put_back_and_half_of_one_is_removed(complete, tmp_path):
    new, old = (names_of(tmp_path / "export", dead_process()).with_suffix(f".{state}") for state in ("new", "old"))
    for place in (new, old, *([tmp_path / "export"] if complete else [])):
        place.mkdir()
        (place / "model").write_text(place.name)
    remove_leftovers(tmp_path)
    assert [place.exists() for place in (new, old)] == [False, False]
    assert (tmp_path / "export" / "model").read_text() == ("export" if complete else old.name)
    with replacing_folder(tmp_path / "export") as fresh:
        (fresh / "model").write_text("fresh")
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_epochs_of_a_run_that_was_killed_read_as_before(configure, cut_off):
    config = configure("trainer.max_epochs=3")
    cut_off(config, epoch=1, batch=1, signum=signal.SIGTERM)
    train(config)
    rows = (Run.of(config).folder / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "0", "1", "2"]


CELLS = (
    *("sampler=normal,inverse_gaussian,student_t", "noise=none,uniform", "seed=0,1"),
    *("trainer.max_epochs=30", "dataset.batch_size=32", "-m"),
)
# One at a time, and six at a time.
WAYS = {"single": (5, ()), "stacked": (3, ("stack=6",))}


def start(folder: Path, *options: str) -> subprocess.Popen:
    return subprocess.Popen(command(folder, *CELLS, *options), env=ENVIRONMENT, stdout=subprocess.DEVNULL)


def scores(folder: Path) -> dict[str, dict[str, float]]:
    return {path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/metrics.json")}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("kills", "options"), WAYS.values(), ids=WAYS)
def test_a_sweep_killed_many_times_ends_with_the_table_of_an_unbroken_one(kills, options, tmp_path):
    began = time.monotonic()
    assert start(tmp_path / "whole", *options).wait() == 0
    seconds = time.monotonic() - began
    whole = scores(tmp_path / "whole")
    assert len(whole) == 12

    moments = random.Random(0)
    killed = 0
    while killed < kills:
        process = start(tmp_path / "killed", *options)
        # From while it imports to some cells later, so that the last kill leaves something to do.
        time.sleep(moments.uniform(2.0, max(6.0, seconds / 4)))
        if process.poll() is None:
            process.kill()
            killed += 1
        process.wait()
        assert len(scores(tmp_path / "killed")) < 12, "the sweep was over before it was killed often enough"
    assert start(tmp_path / "killed", *options).wait() == 0
    assert scores(tmp_path / "killed") == whole
