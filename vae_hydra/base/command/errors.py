"""Errors that a user can mend, as a line of text in place of a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf.errors import OmegaConfBaseException

from vae_hydra.base.command.overrides import key_of
from vae_hydra.base.command.plain_words import plain_words
from vae_hydra.base.system_errors import explained

# Whether a caller in Python, rather than a command line, gets the errors.
_CALLED: ContextVar[bool] = ContextVar("_CALLED", default=False)


class UnknownOption(ConfigCompositionException):
    """An option that is not in the configuration."""


def in_words(error: Exception, output: str | None = None) -> str | None:
    """The message for an error that the user can mend; None for a mistake in the program.

    Args:
        error: any exception.
        output: the option for the command's output; None if it writes nothing.
    """
    deletion = _deletion(error)
    if deletion:
        return f"{deletion} takes away an option that the command needs; leave it out"
    # By name: importing Lightning to know its class would slow down every error before it is needed.
    is_misconfiguration = type(error).__name__ == "MisconfigurationException"
    is_about_values = isinstance(error, (ValueError, FloatingPointError, OmegaConfBaseException, HydraException))
    message = one_line(error) if is_misconfiguration or is_about_values else None
    return explained(error, output) or (None if message is None else plain_words(message))


def is_called() -> bool:
    """Whether a command's code was called from Python: its errors are exceptions then, and do not end the process."""
    return _CALLED.get()


@contextmanager
def raising_errors() -> Iterator[None]:
    """Errors that the user can mend are ValueErrors in this block."""
    token = _CALLED.set(True)
    try:
        yield
    except Exception as error:
        message = in_words(error)
        # Hydra's MissingConfigException is an OSError without a number.
        is_of_system = isinstance(error, OSError) and error.errno is not None
        if message is None or is_of_system or isinstance(error, ValueError):
            raise
        raise ValueError(message) from error
    finally:
        _CALLED.reset(token)


def one_line(error: Exception) -> str:
    """The message of an error without OmegaConf's account of where in the configuration it arose."""
    return str(error).split("\n    full_key:")[0]


def _deletion(error: Exception) -> str | None:
    """The override that deleted the option whose key is missing."""
    if not (isinstance(error, KeyError) and HydraConfig.initialized()):
        return None
    deletions = [override for override in HydraConfig.get().overrides.task if override.startswith("~")]
    return next((override for override in deletions if key_of(override).rpartition(".")[2] in error.args), None)
