"""Which errors a user can mend, and what is said of them in place of a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from hydra._internal import utils
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException, ConfigCompositionException, HydraException
from omegaconf.errors import OmegaConfBaseException

from vae_hydra.base.system_errors import explained


class UnknownOption(ConfigCompositionException):
    """An option that is not in the configuration."""


def in_words(error: Exception, output: str | None = None) -> str | None:
    """What is said of an error that the user can mend; None for one that is a mistake in the program.

    Args:
        error: any exception.
        output: the option that says where the command writes; None if it writes nothing.
    """
    taken_away = _taken_away(error)
    if taken_away:
        return f"{taken_away} takes away an option that the command needs; leave it out"
    # By name: importing Lightning to know its class would slow down every error before it is needed.
    is_misconfiguration = type(error).__name__ == "MisconfigurationException"
    is_about_values = isinstance(error, (ValueError, FloatingPointError, OmegaConfBaseException, HydraException))
    return explained(error, output) or (one_line(error) if is_misconfiguration or is_about_values else None)


def one_line(error: Exception) -> str:
    """The message of an error without OmegaConf's account of where in the configuration it arose."""
    return str(error).split("\n    full_key:")[0]


def _taken_away(error: Exception) -> str | None:
    """What was typed to delete the option whose key is missing."""
    if not (isinstance(error, KeyError) and HydraConfig.initialized()):
        return None
    deleted = [typed for typed in HydraConfig.get().overrides.task if typed.startswith("~")]
    return next((typed for typed in deleted if typed[1:].split("=")[0].split(".")[-1] in error.args), None)


def explain_hydra_errors() -> None:
    """Print a short message also for errors of Hydra's work before and after the command's, and exit with 2.

    HYDRA_FULL_ERROR=1 shows where it was raised.
    """
    original = utils.run_and_report
    if hasattr(original, "explains"):
        return

    def run_and_report(func: Callable[[], Any]) -> Any:
        return original(lambda: _compact(func))

    run_and_report.explains = True  # type: ignore[attr-defined]
    utils.run_and_report = run_and_report


def _compact(function: Callable[[], Any]) -> Any:
    """What ``function`` returns; an error that the user can mend is printed in short and ends the command."""
    try:
        return function()
    except Exception as error:
        message = str(error) if isinstance(error, CompactHydraException) else in_words(error)
        if message is None or os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        sys.stderr.write(f"error: {message}\n")
        # The cause of an option that does not exist says nothing more.
        if isinstance(error.__cause__, OmegaConfBaseException) and not isinstance(error, UnknownOption):
            sys.stderr.write(f"{one_line(error.__cause__)}\n")
        sys.exit(2)
