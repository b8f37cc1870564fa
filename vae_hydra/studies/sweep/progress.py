"""Progress of a sweep: how many of its runs are done, and the time left."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from vae_hydra.base.durations import duration
from vae_hydra.runs.folder import Run

log = logging.getLogger(__name__)

# Seconds between two looks at the folders, and least time between two lines.
INTERVAL, QUIET = 2.0, 10.0


class SweepProgress:
    """Within this context, a thread logs a line when further runs are done, at most every ten seconds.

    It looks at the folders of the runs, so that it knows of runs in other processes and on other machines.

    Args:
        folders: the folders of the runs that the sweep is to train.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.total, self._waiting = len(folders), list(folders)
        self._begun, self._started = time.time(), time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="vae_hydra-sweep-progress", daemon=True)

    def __enter__(self) -> SweepProgress:
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        shown_at, shown = self._started, 0
        while not self._over.wait(INTERVAL):
            self._waiting = [folder for folder in self._waiting if not self._is_done(folder)]
            done = self.total - len(self._waiting)
            if shown < done < self.total and time.monotonic() - shown_at >= QUIET:
                shown_at, shown = time.monotonic(), done
                left = (shown_at - self._started) / done * (self.total - done)
                # Not about a run, so no run's own log has it.
                log.info("sweep    %d of %d runs done, %s left", done, self.total, duration(left), extra={"run": None})

    def _is_done(self, folder: Path) -> bool:
        """Whether the run has been finished since the sweep started; one that is only tested again was done before."""
        try:
            return (folder / "metrics.json").stat().st_mtime >= self._begun and Run(folder).is_done
        except (OSError, ValueError):
            return False
