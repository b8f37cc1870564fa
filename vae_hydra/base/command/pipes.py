"""The end of a command whose output is no longer read, as in ``python -m vae_hydra.info … | head``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# As of a process that SIGPIPE ends.
EXIT_CODE = 141


@contextmanager
def ending_with_reader() -> Iterator[None]:
    """Exit with 141, without a traceback, once the reader of standard output has gone."""
    try:
        try:
            yield
        finally:
            # Python itself would print a traceback if this failed when it ends.
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(EXIT_CODE) from None
