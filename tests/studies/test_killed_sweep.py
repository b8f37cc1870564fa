"""A sweep that is killed again and again: `make test-slow`."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vae_hydra.base.command.configuration import config_folder

pytestmark = pytest.mark.slow

CELLS = (
    *("sampler=normal,inverse_gaussian,student_t", "noise=none,uniform", "seed=0,1"),
    *("trainer.max_epochs=30", "dataset.batch_size=32", "threads=1", "callbacks.figures.enabled=false"),
)
KILLS = 5


def start(folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "vae_hydra.train", "-m", *CELLS, f"output_dir={folder}"]
    return subprocess.Popen(command, cwd=config_folder().parent, stdout=subprocess.DEVNULL)


def metrics(folder: Path) -> dict[str, dict[str, float]]:
    return {path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/metrics.json")}


@pytest.mark.timeout(1200)
def test_a_sweep_killed_five_times_ends_with_the_table_of_an_unbroken_one(tmp_path):
    began = time.monotonic()
    assert start(tmp_path / "whole").wait() == 0
    seconds = time.monotonic() - began
    whole = metrics(tmp_path / "whole")
    assert len(whole) == 12

    moments = random.Random(0)
    kills = 0
    while kills < KILLS:
        process = start(tmp_path / "killed")
        # From while it imports to some cells later, so that five kills leave something to do.
        time.sleep(moments.uniform(2.0, max(6.0, seconds / 4)))
        if process.poll() is None:
            process.kill()
            kills += 1
        process.wait()
        assert len(metrics(tmp_path / "killed")) < 12, "the sweep was over before it was killed five times"
    assert start(tmp_path / "killed").wait() == 0
    assert metrics(tmp_path / "killed") == whole
