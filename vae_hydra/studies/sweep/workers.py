"""Processes that train for a sweep: when it ends, they save their runs and end too."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

log = logging.getLogger(__name__)

# Seconds that a run has to finish its batch and write its checkpoint.
GRACE = 5.0
# Seconds between two checks that the sweep still runs.
WATCH_INTERVAL = 1.0
_WATCH = "vae_hydra-watch-parent"


@contextmanager
def ending_when_stopped(end_jobs: Callable[[], None]) -> Iterator[None]:
    """On SIGINT and SIGTERM, call ``end_jobs``, which lets the processes that train save their runs, and exit.

    Raises:
        SystemExit: with 128 + the signal's number.
    """

    def stop(signum: int, frame: object) -> None:
        end_jobs()
        log.warning("stopped by %s; start the same command again to go on", signal.Signals(signum).name)
        raise SystemExit(128 + signum)

    before = {signum: signal.signal(signum, stop) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def ending_workers() -> AbstractContextManager[None]:
    """``ending_when_stopped`` for joblib's processes.

    joblib by itself kills them on a KeyboardInterrupt, and leaves them behind on SIGTERM.
    """
    return ending_when_stopped(_end_workers)


def _end_workers() -> None:
    import psutil  # help does not wait for it

    for worker in psutil.Process().children():
        worker.send_signal(signal.SIGTERM)
    time.sleep(GRACE)


def end_with_parent() -> None:
    """Watch the process that started this one; when it is gone, save the run and end.

    Does nothing in a process without a parent of multiprocessing, such as a job of a cluster. A thread watches, since
    the signal of Linux's PR_SET_PDEATHSIG also comes when only the parent's starting thread ends.
    """
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid is None or any(thread.name == _WATCH for thread in threading.enumerate()):
        return
    threading.Thread(target=_watch, args=(parent.pid,), name=_WATCH, daemon=True).start()


def _watch(parent: int) -> None:
    import psutil  # help does not wait for it

    # On Linux an orphan gets another parent; on Windows it keeps the number of the dead one.
    while os.getppid() == parent and psutil.pid_exists(parent):
        time.sleep(WATCH_INTERVAL)
    while True:
        # While a run trains, its guard catches the signal and saves the run; the next signal ends the process.
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(WATCH_INTERVAL)
