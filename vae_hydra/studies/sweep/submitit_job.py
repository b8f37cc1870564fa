"""What submitit runs as a job of a sweep."""

from __future__ import annotations

import signal
import sys
import time
from typing import Any

from hydra.core.utils import JobReturn

# Seconds by which SLURM may announce the end of a job early, and which the job needed to start.
EARLY = 90.0


def hydra_job(option: str) -> Any:
    """hydra-submitit-launcher's job, which composes the configuration of a run and calls the task.

    Raises:
        ValueError: if that package is not installed; ``option`` is what needs it.
    """
    try:
        from hydra_plugins.hydra_submitit_launcher.submitit_launcher import BaseSubmititLauncher
    except ImportError:
        raise ValueError(f"{option} needs hydra-submitit-launcher; pip install 'vae_hydra[slurm]'") from None
    return BaseSubmititLauncher()


class Resumable:
    """What submitit runs as a job: Hydra's job, which starts again where the run was saved.

    Args:
        job: of ``hydra_job``.
        signal_delay: seconds before its end at which the job is told.
    """

    def __init__(self, job: Any, signal_delay: int) -> None:
        self.job, self.signal_delay = job, signal_delay

    def __call__(self, *arguments: Any) -> JobReturn:
        self._count_timeouts()
        # submitit ignores the signal: a job that had not begun to train would go on after its sweep was stopped.
        signal.signal(signal.SIGTERM, _end)
        return self.job(*arguments)

    def checkpoint(self, *arguments: Any) -> Any:
        """What submitit runs when the job starts again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, *arguments)

    def _count_timeouts(self) -> None:
        """Let only the end of the job's time count as a time-out.

        submitit counts every signal of the last ten minutes, or after 80 % of the time if that is earlier: in a job of
        ten minutes every preemption would be a time-out.
        """
        from submitit.core.job_environment import SignalHandler

        handler = getattr(signal.getsignal(signal.SIGUSR2), "__self__", None)
        if isinstance(handler, SignalHandler):
            seconds = 60 * handler._delayed._timeout_min - self.signal_delay - EARLY
            handler.has_timed_out = lambda: time.time() - handler._start_time >= seconds


def _end(signum: int, frame: object) -> None:
    sys.exit(128 + signum)
