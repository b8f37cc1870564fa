"""SLURM's queue: which jobs are still to end, and ending them."""

from __future__ import annotations

import getpass
import logging
import subprocess
from collections.abc import Collection

log = logging.getLogger(__name__)

# States after which a job does nothing more, in squeue's words.
ENDED = (
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"),
    *("OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"),
)
# Seconds that SLURM has to answer.
PATIENCE = 60


def unfinished() -> set[str] | None:
    """The user's jobs that wait or run, as ``12`` or, in an array, ``12_3``; None if SLURM does not answer.

    It asks squeue, not sacct, which needs a database that not every cluster has.
    """
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i %T", f"--user={getpass.getuser()}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    states = dict(line.split(maxsplit=1) for line in answer.splitlines())
    return {job for job, state in states.items() if state not in ENDED}


def cancel(jobs: Collection[str]) -> None:
    """Let SLURM end jobs: each is told to save its run, and killed where that takes too long."""
    if not jobs:
        return
    try:
        subprocess.run(["scancel", *sorted(jobs)], check=True, timeout=PATIENCE)
    except (OSError, subprocess.SubprocessError) as error:
        # Called when the command is stopped, which must not fail over it.
        log.warning("SLURM did not end its jobs, which may go on: %s; end them with: scancel %s", error, " ".join(jobs))
