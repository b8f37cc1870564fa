"""Where the runs of a page lie: links relative to the page, and the files that each run had."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vae_hydra.runs.reading import RunFolder

FILES = ("config.yaml", "metrics.json", "metrics.csv", "train.log")
# Names of pictures of one run.
MOST_PICTURES = 60


def places(runs: Sequence[RunFolder | None], output: Path) -> dict[str, Any]:
    """The links of a page in the folder ``output``, as parts of addresses.

    Returns:
        ``base``, the folder that holds all runs, relative to the page; ``links``, the folder of each run relative to
        ``base``, None for a run without one; ``contents``, lists of files within a folder; ``content``, the number of
        the list of each run.
    """
    paths = [run and _absolute(run.path) for run in runs]
    parents = [path.parent for path in paths if path]
    top = os.path.commonpath(parents) if parents else _absolute(output)
    contents = [_content(path) if path else () for path in paths]
    numbers = {content: number for number, content in enumerate(dict.fromkeys(contents))}
    return {
        "base": f"{_address(os.path.relpath(top, output))}/",
        "links": [path and _address(os.path.relpath(path, top)) for path in paths],
        "contents": list(numbers),
        "content": [numbers[content] for content in contents],
    }


def _absolute(path: Path) -> Path:
    """The path from the root; links in it stay, as a browser's addresses have them too."""
    return Path(os.path.normpath(path.absolute()))


def _content(folder: Path) -> tuple[str, ...]:
    return (*(name for name in FILES if (folder / name).is_file()), *_pictures(folder))


def _pictures(folder: Path) -> list[str]:
    """Addresses of the pictures of a run relative to its folder, those of the last epoch first."""
    found = list(_pngs(folder / "figures"))
    return [_address(os.path.relpath(path, folder)) for path in found[:MOST_PICTURES]]


def _pngs(folder: Path) -> Iterator[str]:
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda one: (one.is_dir(), one.name)):
            if entry.is_dir(follow_symlinks=False):
                yield from _pngs(Path(entry.path))
            elif entry.name.endswith(".png"):
                yield entry.path


def _address(path: str) -> str:
    """A path as part of an address; names that are no text are kept byte by byte."""
    return quote(os.fsencode(path.replace(os.sep, "/")))
