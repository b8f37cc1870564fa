"""Training as a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.support.device import TRAINED_ON


def command(folder: Path, *overrides: str) -> list[str]:
    options = [TRAINED_ON, "threads=1", "callbacks.figures.enabled=false", f"output_dir={folder}"]
    options += ["callbacks.checkpoints.every_seconds=0"]
    return [sys.executable, "-m", "vae_hydra.train", *options, *overrides]


def wait_for(condition, process: subprocess.Popen, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the run ended before it could be stopped"
        assert time.monotonic() < until
        time.sleep(0.01)
