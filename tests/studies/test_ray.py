"""A sweep on Ray's workers (pytest -m slow tests/studies/test_ray.py, with the extra ray)."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.device import TRAINED_ON
from vae_hydra.runs.folder import Run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        importlib.util.find_spec("hydra_plugins.hydra_ray_launcher") is None, reason="needs the extra ray"
    ),
]
CELLS = ("sampler=normal,lognormal,student_t", "seed=0,1,2,3")
QUICK = (*("trainer.max_epochs=3", TRAINED_ON, "callbacks.figures.enabled=false", "threads=1"),)
RAY = ("hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2")


def sweep(folder: Path, *overrides: str) -> subprocess.CompletedProcess:
    words = [sys.executable, "-m", "vae_hydra.train", "-m", *CELLS, *QUICK, f"output_dir={folder}", *overrides]
    return subprocess.run(words, capture_output=True, text=True, timeout=600)


def scores(folder: Path) -> dict[str, dict]:
    found = {path.parent.name: json.loads(path.read_text()) for path in folder.glob("digits-*/metrics.json")}
    assert len(found) == 12
    assert all(Run(folder / name).is_done for name in found)
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, dict]:
    """The scores of the sweep without Ray."""
    folder = tmp_path_factory.mktemp("basic")
    assert sweep(folder).returncode == 0
    return scores(folder)


def test_twelve_runs_have_the_scores_of_the_basic_launcher(tmp_path, undisturbed):
    result = sweep(tmp_path, *RAY)
    assert result.returncode == 0, result.stderr
    assert scores(tmp_path) == undisturbed


def test_a_stack_on_a_worker_has_the_scores_of_single_runs(tmp_path, undisturbed):
    result = sweep(tmp_path, *RAY, "stack=2")
    assert result.returncode == 0, result.stderr
    for name, values in scores(tmp_path).items():
        assert Run(tmp_path / name).record["stacked"] == 2
        assert values == pytest.approx(undisturbed[name], rel=1e-3, abs=1e-3)


def workers() -> list[int]:
    """The processes of Ray that are training a run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().startswith(b"ray::"):
                found.append(int(path.parent.name))
    return found


def test_a_killed_worker_loses_nothing(tmp_path, undisturbed):
    words = [sys.executable, "-m", "vae_hydra.train", "-m", *CELLS, *QUICK, f"output_dir={tmp_path}", *RAY]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        until = time.monotonic() + 300
        while not list(tmp_path.glob("digits-*/last.ckpt")):
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.1)
        training = [pid for pid in workers() if b"ray::IDLE" not in Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(training[0], signal.SIGKILL)
        process.communicate(timeout=600)
    # Ray starts the job again; where it gave up, the same command trains the rest.
    assert sweep(tmp_path, *RAY).returncode == 0
    assert scores(tmp_path) == undisturbed
