"""The words of a command line, in the order that Hydra's parser needs."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Hydra's own options that are followed by a value.
TAKE_A_VALUE = {
    *("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"),
    *("--info", "-i", "--experimental-rerun"),
}
MAY_TAKE_A_VALUE = ("--info", "-i")
# Flags that Hydra does not allow beside --multirun, or that are it.
EXCLUDE_SEVERAL = {"--multirun", "-m", "--run", "-r", "--cfg", "-c", "--info", "-i", "--help", "-h", "--hydra-help"}


def flags_first(arguments: Sequence[str]) -> list[str]:
    """A command line with its flags before its options, and the flag of several runs for a sweep.

    >>> flags_first(["sampler=normal", "-m", "seed=0,1"])
    ['-m', 'sampler=normal', 'seed=0,1']
    >>> flags_first(["threads=1", "sweep=coffee_break"])
    ['--multirun', 'threads=1', 'sweep=coffee_break']

    Raises:
        ValueError: for two sweeps; Hydra would silently ignore the first.
    """
    flags: list[str] = []
    options: list[str] = []
    for before, word in zip(["", *arguments], arguments, strict=False):
        is_value = before in TAKE_A_VALUE and not (before in MAY_TAKE_A_VALUE and "=" in word)
        (flags if is_value or word.startswith("-") else options).append(word)
    sweeps = list(dict.fromkeys(option for option in options if option.startswith("sweep=")))
    if len(sweeps) > 1:
        raise ValueError(f"one command runs one sweep, but got {' and '.join(sweeps)}; start a command for each")
    # The file of a sweep asks for several runs, but Hydra 1.4 wants to know that before it reads the file.
    return [*flags, *(["--multirun"] if sweeps and not set(flags) & EXCLUDE_SEVERAL else []), *options]


def folders_first(arguments: Sequence[str]) -> list[str]:
    """A command line whose arguments without ``=`` are gathered as ``folders=[…]``.

    >>> folders_first(["outputs", "it's", "level=0.1", "--cfg", "job"])
    ['level=0.1', '--cfg', 'job', "folders=['outputs','it\\\\'s']"]

    Raises:
        ValueError: for ``run=FOLDER``, as other commands have it.
    """
    if named := next((word for word in arguments if word.startswith("run=")), None):
        raise ValueError(f"{named}: folders have no name here; type {named.partition('=')[2] or 'a folder'} alone")
    before = ["", *arguments]
    is_folder = [
        "=" not in argument and not argument.startswith("-") and previous not in TAKE_A_VALUE
        for previous, argument in zip(before, arguments, strict=False)
    ]
    folders = [quoted(argument) for argument, is_one in zip(arguments, is_folder, strict=True) if is_one]
    others = [argument for argument, is_one in zip(arguments, is_folder, strict=True) if not is_one]
    return [*others, *([f"folders=[{','.join(folders)}]"] if folders else [])]


def quoted(text: str) -> str:
    """``text`` quoted for Hydra's grammar, where backslashes count only before a quote and ``${`` is interpolated."""
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + m[2].replace("'", r"\'"), text)
    return "'" + escaped.replace("${", r"\${") + "'"
