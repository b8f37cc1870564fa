"""Ownership of a run's folder while it trains: its lock, its log, and its errors on a full disk."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from vae_hydra.base.files import overwrite_text
from vae_hydra.base.system_errors import FULL, TOO_LARGE

log = logging.getLogger(__name__)

# Seconds that an ending process, such as the worker of a killed sweep, has to release a folder.
LOCK_WAIT = 15.0
# Errors of a full disk, a used-up quota and a limit on file sizes.
DISK_FULL = FULL | TOO_LARGE


@contextmanager
def locked(folder: Path, wait: float) -> Iterator[None]:
    """Lock ``folder`` against other processes; make it if there is none.

    Args:
        folder: of a run.
        wait: seconds to wait for a process that has the lock.

    Raises:
        ValueError: if another process keeps the lock, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        _acquire(lock, folder, wait)
    except Timeout as error:
        raise ValueError(f"another process is training {folder}; wait for it, or stop it first") from error
    except OSError as error:
        raise ValueError(f"output_dir cannot be written: {error}") from error
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, folder: Path, wait: float) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise
        log.info("waiting  up to %g s for another process that is training %s", wait, folder)
        lock.acquire(timeout=wait)


class _RunLog(logging.FileHandler):
    """A log file whose own errors, as on a full disk, do not stop the run."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


@contextmanager
def logging_to(path: Path, run: str) -> Iterator[None]:
    """Write the messages of the package to a file too, except those about another run of the same process."""
    handler = _RunLog(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.addFilter(lambda record: getattr(record, "run", run) == run)
    logger = logging.getLogger("vae_hydra")
    level = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()


@contextmanager
def explaining_a_full_disk(folder: Path) -> Iterator[None]:
    """Turn the error of a full disk into a ValueError with the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise ValueError(
            f"{folder} cannot be written: {DISK_FULL[error.errno]}. Make room, and start the same command again: the "
            "run goes on from its last checkpoint"
        ) from error


def overwrite(path: Path, text: str) -> None:
    """Write ``text``, on a full disk within the file's own block; log an error if even that fails.

    For the record of a failing run, whose own error must not be hidden by this one.
    """
    try:
        overwrite_text(path, text)
    except OSError as error:
        log.error("%s cannot be written: %s", path, error.strerror)
