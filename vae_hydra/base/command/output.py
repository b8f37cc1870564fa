"""The folder that a command writes to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vae_hydra.base.files import check_writable, is_temporary
from vae_hydra.base.system_errors import reason


def named_folder(output: Any) -> Path:
    """The folder that the option ``output`` names; ValueError if it names none."""
    if not isinstance(output, str) or not output:
        raise ValueError(f"output must be a folder, but got {output!r}")
    return Path(output).expanduser()


def is_taken(folder: Path) -> bool:
    """Whether ``folder`` is a file or has content, other than unfinished files."""
    return folder.is_file() or (folder.is_dir() and not all(map(is_temporary, folder.iterdir())))


def output_folder(output: Any, default: Path, files: Sequence[str] | None = None) -> Path:
    """The folder that a command writes to, checked.

    Args:
        output: value of the option ``output``; None for ``default``.
        default: a folder of the run, whose files may be replaced.
        files: files that the folder ``output`` must not have yet; None if it must be new or empty.

    Raises:
        ValueError: if ``output`` has such files, or the folder cannot be made or written into.
    """
    folder = default if output is None else named_folder(output)
    if output is not None:
        _check_free(folder, files)
    check_output(folder, str(folder) if output is None else f"output={folder}")
    return folder


def check_output(folder: Path, name: str) -> None:
    """Raise ValueError if ``folder``, which the message calls ``name``, cannot be made or written into."""
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
