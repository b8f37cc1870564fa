"""Where a command writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vae_hydra.base.files import check_writable, is_temporary
from vae_hydra.base.system_errors import reason


def named_folder(output: Any) -> Path:
    """The folder that the option output names; ValueError for what is no name."""
    if not isinstance(output, str) or not output:
        raise ValueError(f"output must be a folder, but got {output!r}")
    return Path(output).expanduser()


def is_taken(folder: Path) -> bool:
    """Whether there is something that a command must not write over or beside."""
    return folder.is_file() or (folder.is_dir() and not all(map(is_temporary, folder.iterdir())))


def output_folder(output: Any, default: Path, files: Sequence[str] | None = None) -> Path:
    """Where a command writes: a folder that was named, or a place in the run's own.

    Args:
        output: what was given for the option output; None for ``default``.
        default: a folder of the run, whose files may be replaced.
        files: names that the folder given must not have yet; None if it must be new or empty.

    Raises:
        ValueError: if the folder given has what stays as it is, or the folder cannot be made or written into.
    """
    folder = default if output is None else named_folder(output)
    if output is not None:
        _check_free(folder, files)
    check_output(folder, str(folder) if output is None else f"output={folder}")
    return folder


def check_output(folder: Path, name: str) -> None:
    """Raise ValueError, before work is done for it, if ``folder`` cannot be made or written into.

    ``name`` is what the error calls it.
    """
    try:
        check_writable(folder)
    except OSError as error:
        raise ValueError(f"{name} cannot be written: {reason(error, 'output')}") from error


def _check_free(folder: Path, files: Sequence[str] | None) -> None:
    if files is None and is_taken(folder):
        raise ValueError(f"output={folder} is there already and not empty; name a new folder")
    if folder.is_file():
        raise ValueError(f"output={folder} is a file; give a folder")
    present = [name for name in files or () if (folder / name).exists()]
    if present:
        raise ValueError(f"output={folder} holds {', '.join(present)} already; give another folder, or delete them")
