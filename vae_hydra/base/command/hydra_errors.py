"""Hydra's own errors in plain words: parts of Hydra are replaced, because it has no hooks for them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from hydra._internal import utils
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra.core.override_parser.types import Override
from hydra.errors import CompactHydraException, ConfigCompositionException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from vae_hydra.base.command.errors import UnknownOption, in_words, is_called, one_line
from vae_hydra.base.command.pipes import EXIT_CODE
from vae_hydra.base.command.plain_words import of_an_option_not_chosen, plain_words
from vae_hydra.base.command.unread import is_named, suggestion


def explain_unknown_options() -> None:
    """Let Hydra name the option that was probably meant, in place of its advice to add an option that nothing reads."""

    def explaining(original: Callable[..., None]) -> Callable[..., None]:
        def apply(overrides: list[Override], cfg: DictConfig) -> None:
            try:
                original(overrides, cfg)
            except ConfigCompositionException as error:
                advice = "To append to your config use +"
                missing = getattr(error.__cause__, "full_key", None)
                if advice not in str(error) or not isinstance(missing, str):
                    raise
                if of_another := of_an_option_not_chosen(missing):
                    raise UnknownOption(of_another) from error.__cause__
                raw: Any = OmegaConf.to_container(cfg, resolve=False)
                if is_named(missing, raw):
                    raise
                message = f"{missing}: there is no such option{suggestion(missing, raw, raw)}"
                raise UnknownOption(message) from error.__cause__

        return apply

    _replace(ConfigLoaderImpl, "_apply_overrides_to_config", explaining, staticmethod)


def explain_unreadable_files() -> None:
    """Let Hydra name a file of options that cannot be read, in place of the traceback of its YAML parser."""

    def explaining(original: Callable[..., Any]) -> Callable[..., Any]:
        def load(self: ConfigRepository, config_path: str) -> Any:
            try:
                return original(self, config_path)
            except CompactHydraException:
                raise
            except (YAMLError, ValueError, OSError, AttributeError, TypeError, AssertionError, RecursionError) as error:
                reason = " ".join(str(error).split())[:500] or type(error).__name__
                raise ConfigCompositionException(
                    f"error: {config_path}.yaml cannot be read as options: {reason}"
                ) from error

        return load

    _replace(ConfigRepository, "load_config", explaining)


def explain_hydra_errors() -> None:
    """Print a short message for errors before and after the command's own work, and exit with 2.

    HYDRA_FULL_ERROR=1 shows the traceback.
    """

    def explaining(original: Callable[..., Any]) -> Callable[..., Any]:
        return lambda func: func() if is_called() else original(lambda: _compact(func))

    _replace(utils, "run_and_report", explaining)


def _replace(owner: Any, name: str, explaining: Callable[..., Any], kind: Callable[..., Any] = lambda new: new) -> None:
    """Replace a function of Hydra by ``explaining(function)``, once."""
    original = getattr(owner, name)
    if not hasattr(original, "explains"):
        new = explaining(original)
        new.explains = True
        setattr(owner, name, kind(new))


def _compact(function: Callable[[], Any]) -> Any:
    """The result of ``function``; an error that the user can mend is printed in short and ends the command."""
    try:
        return function()
    except BrokenPipeError:
        sys.exit(EXIT_CODE)
    except Exception as error:
        message = plain_words(str(error)) if isinstance(error, CompactHydraException) else in_words(error)
        if message is None or os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        sys.stderr.write(f"error: {message}\n")
        # The cause of an UnknownOption adds nothing.
        if isinstance(error.__cause__, OmegaConfBaseException) and not isinstance(error, UnknownOption):
            sys.stderr.write(f"{one_line(error.__cause__)}\n")
        sys.exit(2)
