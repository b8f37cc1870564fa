"""The shell lines and Python blocks of README, CONTRIBUTING and docs, as a reader would copy them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.composing import REPOSITORY

READ = ("README.md", "CONTRIBUTING.md", "docs/*.md")
SHELL = ("bash", "sh", "shell", "console")
FENCE = re.compile(r"```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# Four spaces after an empty line, outside lists.
BLOCK = re.compile(r"(?<=\n\n)((?:    .*\n|\n)+)")
INLINE = re.compile(r"`(python -m vae_hydra\.\w+ [^`]+)`")
COMMAND = re.compile(r"python -m vae_hydra\.(\w+)\b")
TIMED = re.compile(r"^(?:/usr/bin/)?time (?:-\w+ )?")


class Line(NamedTuple):
    """One shell line: where it is written and its words, without its comment."""

    document: str
    text: str
    words: tuple[str, ...]

    @property
    def module(self) -> str | None:
        """The command's module if it is one of ours."""
        match = COMMAND.match(self.text)
        return match[1] if match else None

    @property
    def arguments(self) -> list[str]:
        return list(self.words[3:])


def documents() -> list[Path]:
    return [path for pattern in READ for path in sorted(REPOSITORY.glob(pattern))]


def shell_lines(text: str, document: str = "") -> list[Line]:
    """Every line of code blocks that are marked as shell or not marked, and commands of ours within sentences."""
    fenced = [body for language, body in FENCE.findall(text) if language in SHELL]
    rest = FENCE.sub("\n", text)
    blocks = [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in BLOCK.findall(rest)]
    joined = "\n".join([*fenced, *blocks]).replace("\\\n", " ")
    written = [*joined.splitlines(), *INLINE.findall(BLOCK.sub("\n", rest))]
    lines = [_line(document, TIMED.sub("", " ".join(line.split()))) for line in written]
    return [line for line in lines if line.words]


def _line(document: str, text: str) -> Line:
    return Line(document, text, tuple(shlex.split(text, comments=True)))


def every_line() -> list[Line]:
    """The shell lines of all documents, each once."""
    found: dict[tuple[str, ...], Line] = {}
    for path in documents():
        for line in shell_lines(path.read_text(encoding="utf-8"), path.relative_to(REPOSITORY).as_posix()):
            found.setdefault(line.words, line)
    return list(found.values())


def python_blocks() -> Iterator[tuple[str, str]]:
    """Document and code of every Python block."""
    for path in documents():
        for language, body in FENCE.findall(path.read_text(encoding="utf-8")):
            if language == "python":
                yield path.name, body
