"""Writing files so that a reader, or a process killed half-way, never sees half of one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def replace_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, flush it to disk and rename it into place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` in UTF-8."""
    replace_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Replace ``path`` by ``value`` as indented JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Replace ``path`` by a compressed .npz of ``arrays``, by name."""
    import numpy as np

    def write(temporary: Path) -> None:
        # Given a name, numpy would append its own suffix to it.
        with temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)

    replace_atomically(path, write)


def write_figure(figure: Any, path: Path, dpi: int = 150) -> None:
    """Replace ``path`` by a matplotlib figure, in the format that its suffix says."""
    kind = path.suffix.removeprefix(".")
    replace_atomically(path, lambda temporary: figure.savefig(temporary, format=kind, dpi=dpi))


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """A new folder beside ``folder``, which takes its place once it is filled, and is gone if that raises."""
    new, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{state}") for state in ("new", "old"))
    new.mkdir(parents=True)
    try:
        yield new
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(new, ignore_errors=True)
