"""The frame of every command: its preparation, its options and its errors."""

from __future__ import annotations

import functools
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vae_hydra.base import hydra_versions
from vae_hydra.base.command.configuration import config_folder, hydra_in_use, is_sweep, plain
from vae_hydra.base.command.errors import in_words, is_called
from vae_hydra.base.command.groups import options_help
from vae_hydra.base.command.hydra_errors import (
    explain_hydra_errors,
    explain_unknown_options,
    explain_unreadable_files,
)
from vae_hydra.base.command.pipes import EXIT_CODE, ending_with_reader
from vae_hydra.base.command.unread import check_known
from vae_hydra.base.command.words import flags_first


def prepare() -> str:
    """Make the process ready for a command, before torch is imported; return the configuration's folder."""
    # With the default, active policy torch's threads spin and slow down any other busy process.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    hydra_versions.register_resolver("vae_hydra.options", options_help)
    explain_unknown_options()
    explain_unreadable_files()
    explain_hydra_errors()
    return str(config_folder())


def settings(config: DictConfig) -> dict[str, Any]:
    """The resolved options of the running command; ValueError for an option that nothing reads."""
    hydra, values = HydraConfig.get(), plain(config)
    refuse_unread(config, hydra.job.config_name, hydra.runtime.choices, hydra.overrides.task, values)
    return values


def refuse_unread(
    config: DictConfig, name: str | None, choices: Mapping[str, Any], overrides: Sequence[str], final: Mapping[str, Any]
) -> None:
    """``check_known`` with our own folder of configurations."""
    with hydra_in_use():
        check_known(config, name or "train", choices, config_folder(), overrides, final)


def command(config_name: str) -> Callable[[Callable[[DictConfig], None]], Callable[[], None]]:
    """Decorator of a command's function: it is called with the options of ``conf/<config_name>.yaml``."""

    def decorated(main: Callable[[DictConfig], None]) -> Callable[[], None]:
        return typed_in_any_order(hydra_versions.main(prepare(), config_name)(main))

    return decorated


def typed_in_any_order(main: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator of a command: Hydra's flags may follow options, a second sweep is refused, --version is ours.

    Ctrl-C before a run trains, or between two runs, ends it with a line and the shell's code for that.
    """

    @functools.wraps(main)
    def ordered() -> Any:
        with ending_with_reader():
            if "--version" in sys.argv[1:]:
                print(f"vae_hydra {version('vae_hydra')}")
                return None
            with user_errors():
                sys.argv = [sys.argv[0], *flags_first(sys.argv[1:])]
            try:
                return main()
            except KeyboardInterrupt:
                print("stopped by SIGINT; start the same command again to go on", file=sys.stderr)
                raise SystemExit(128 + signal.SIGINT) from None

    return ordered


@contextmanager
def user_errors(output: str | None = "output") -> Iterator[None]:
    """Print an error that the user can mend in one line and exit with 2; in a sweep, end this run only.

    HYDRA_FULL_ERROR=1 shows the traceback. A caller in Python gets the exception instead.

    Args:
        output: the option for the command's output; None if it writes nothing.
    """
    if is_called():
        yield
        return
    # Without this, logging prints a traceback for each line after the output is cut off (``| head``).
    logging.raiseExceptions = False
    try:
        yield
    except BrokenPipeError as error:
        if is_sweep():
            raise
        raise SystemExit(EXIT_CODE) from error
    except Exception as error:
        message = in_words(error, output)
        if message is None or os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print(f"error: {message}", file=sys.stderr)
        if is_sweep():
            raise ValueError(message) from None
        raise SystemExit(2) from None
