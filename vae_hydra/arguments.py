"""The words of a command line, in the order in which Hydra's parser takes them."""

from __future__ import annotations

from collections.abc import Sequence

# Hydra's own options that are followed by a value.
TAKE_A_VALUE = {
    *("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"),
    *("--info", "-i", "--experimental-rerun"),
}
MAY_TAKE_A_VALUE = ("--info", "-i")


def flags_first(arguments: Sequence[str]) -> list[str]:
    """A command line as Hydra's parser takes it, flags before options.

    >>> flags_first(["sampler=normal", "-m", "seed=0,1", "--cfg", "job"])
    ['-m', '--cfg', 'job', 'sampler=normal', 'seed=0,1']

    Raises:
        ValueError: for two sweeps, of which Hydra would take the last without a word.
    """
    flags: list[str] = []
    options: list[str] = []
    for before, word in zip(["", *arguments], arguments, strict=False):
        is_value = before in TAKE_A_VALUE and not (before in MAY_TAKE_A_VALUE and "=" in word)
        (flags if is_value or word.startswith("-") else options).append(word)
    sweeps = list(dict.fromkeys(option for option in options if option.startswith("sweep=")))
    if len(sweeps) > 1:
        raise ValueError(f"one command runs one sweep, but got {' and '.join(sweeps)}; start a command for each")
    return [*flags, *options]
