"""The processes in which joblib trains runs: they end, and save their runs, with the sweep that started them."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

# Seconds that a run has to finish its batch and write its checkpoint.
GRACE = 5.0
# Seconds between two looks at whether the sweep is still there.
WATCH_INTERVAL = 1.0
_WATCH = "vae_hydra-watch-parent"


@contextmanager
def ending_workers() -> Iterator[None]:
    """On SIGINT and SIGTERM, ask the processes that train to save their runs, and give them time to, before they end.

    joblib would kill them on a KeyboardInterrupt, and leave them behind on SIGTERM.

    Raises:
        SystemExit: with 128 + the signal's number.
    """

    def stop(signum: int, frame: object) -> None:
        import psutil

        for worker in psutil.Process().children():
            worker.send_signal(signal.SIGTERM)
        time.sleep(GRACE)
        log.warning("stopped by %s; start the same command again to go on", signal.Signals(signum).name)
        raise SystemExit(128 + signum)

    before = {signum: signal.signal(signum, stop) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def end_with_parent() -> None:
    """In a process that another one started for its jobs, save the run and end once that one is gone.

    Nothing is done in a process of its own, such as a job of a cluster. A thread and not Linux's PR_SET_PDEATHSIG:
    that signal also comes when only the thread ends that started this process.
    """
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid is None or any(thread.name == _WATCH for thread in threading.enumerate()):
        return
    threading.Thread(target=_watch, args=(parent.pid,), name=_WATCH, daemon=True).start()


def _watch(parent: int) -> None:
    import psutil

    # On Linux an orphan has another parent; on Windows it keeps the number of one that is gone.
    while os.getppid() == parent and psutil.pid_exists(parent):
        time.sleep(WATCH_INTERVAL)
    while True:
        # The guard of a run that trains answers by saving it; the next signal finds no guard, and ends the process.
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(WATCH_INTERVAL)
