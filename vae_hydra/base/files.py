"""Writing files and folders as a whole: nobody ever reads half of one, even after the process is killed."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# The name of an unfinished file: that of the finished one, the host and the process that writes it.
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<host>[A-Za-z0-9_-]+)\.(?P<pid>\d+)\.(?P<state>tmp|new|old)")


@contextmanager
def naming(path: Path, temporary: Path) -> Iterator[None]:
    """Put ``path`` into an OSError that names no file, or one under ``temporary``, which stands for ``path``."""
    try:
        yield
    except OSError as error:
        is_ours = error.filename is None or Path(os.fsdecode(error.filename)).is_relative_to(temporary)
        if error.errno is None or not is_ours:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def check_writable(folder: Path) -> None:
    """Raise OSError if ``folder`` cannot be made or written into."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    with naming(folder, there), TemporaryDirectory(dir=there, prefix="."):
        pass


def replace_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, flush it to disk and rename it into place."""
    temporary = _temporary(path, "tmp")
    with naming(path, temporary):
        try:
            write(temporary)
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content``."""
    replace_atomically(path, lambda temporary: temporary.write_bytes(content))


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` in UTF-8."""
    replace_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Replace ``path`` by ``value`` as indented JSON."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """``value`` as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def overwrite_text(path: Path, text: str) -> None:
    """Replace ``path`` by a short ``text``; on a full disk, overwrite the file within its own block."""
    try:
        write_text(path, text)
    except OSError:
        with path.open("r+b") as file:
            file.write(text.encode())
            file.truncate()


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Replace ``path`` by a compressed .npz of ``arrays``, by name."""
    import numpy as np  # here: a command's help does not wait for it

    def write(temporary: Path) -> None:
        # numpy appends its own suffix to a name, but not to an open file.
        with temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)

    replace_atomically(path, write)


def write_figure(figure: Any, path: Path, dpi: int = 150) -> None:
    """Replace ``path`` by a matplotlib figure, in the format of its suffix."""
    kind = path.suffix.removeprefix(".")
    replace_atomically(path, lambda temporary: figure.savefig(temporary, format=kind, dpi=dpi))


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """A new folder that replaces ``folder`` at the end of the block, and is removed if the block raises."""
    remove_leftovers(folder.parent)
    new, old = (_temporary(folder, state) for state in ("new", "old"))
    with _temporary_folder(new, folder):
        yield new
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def filling_folder(folder: Path) -> Iterator[Path]:
    """A new folder whose files move into ``folder`` at the end of the block, and are removed if the block raises.

    Other files in ``folder`` stay.
    """
    new = _temporary(folder, "new")
    if folder.is_dir():
        # Within an existing folder, whose parent may be another disk or not writable.
        new = folder / new.name
    remove_leftovers(new.parent)
    with _temporary_folder(new, folder):
        yield new
        _move(new, folder)


@contextmanager
def _temporary_folder(new: Path, folder: Path) -> Iterator[None]:
    """Make ``new``, which stands for ``folder``; in the end remove it, and its new parents if they are empty."""
    missing = [place for place in new.parents if not place.exists()]
    with naming(folder, new):
        try:
            # A killed process of the same number may have left one.
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
            yield
        finally:
            shutil.rmtree(new, ignore_errors=True)
            for place in missing:
                with suppress(OSError):
                    place.rmdir()


def _move(source: Path, target: Path) -> None:
    """Move a file or a folder; an existing folder is filled with the entries of the other."""
    if source.is_dir() and target.is_dir():
        for entry in sorted(source.iterdir()):
            _move(entry, target / entry.name)
    else:
        source.replace(target)


def _temporary(path: Path, state: str) -> Path:
    """The hidden path beside ``path`` that this process writes to first, named after host and process."""
    return path.with_name(f".{path.name}.{_host()}.{os.getpid()}.{state}")


def is_temporary(path: Path) -> bool:
    """Whether ``path`` has the name of an unfinished file or folder."""
    return _TEMPORARY.fullmatch(path.name) is not None


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname()) or "localhost"


def remove_leftovers(folder: Path, deep: bool = False) -> list[Path]:
    """Remove the unfinished files that dead processes of this host left in ``folder``; return their paths.

    A folder that was moved aside for a new one that never came is moved back.

    Args:
        folder: the folder to search; it need not exist.
        deep: whether to search folders within it.
    """
    candidates = list((folder.rglob if deep else folder.glob)(".*.*")) if folder.is_dir() else []
    removed = []
    for path in candidates:
        match = _TEMPORARY.fullmatch(path.name)
        if match is None or match["host"] != _host() or _is_alive(int(match["pid"])):
            continue
        whole = path.with_name(match["name"])
        # A file that cannot be removed, as on a read-only disk, does no harm.
        with suppress(OSError):
            if match["state"] == "old" and not whole.exists():
                path.rename(whole)
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            removed.append(path)
    return removed


def _is_alive(pid: int) -> bool:
    import psutil  # here: a command's help does not wait for it

    return psutil.pid_exists(pid)
