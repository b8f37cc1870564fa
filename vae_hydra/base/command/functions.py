"""Commands as functions of Python: ``vae_hydra.train(["sampler=lognormal"])``."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, TypeVar

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from vae_hydra.base.command.errors import raising_errors
from vae_hydra.base.command.overrides import parsed

Function = TypeVar("Function", bound=Callable[..., Any])


class CallableModule(ModuleType):
    """A command's module that can be called: ``vae_hydra.train`` is one object, before and after its import."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call the module's function."""
        return vars(self)["__function__"](*arguments, **named)


def function_of(module: str) -> Callable[[Function], Function]:
    """Decorator: calling ``module`` calls this function, and shows its signature and its docstring."""

    def make_callable(function: Function) -> Function:
        found = sys.modules[module]
        found.__class__ = CallableModule
        vars(found).update(__function__=function, __signature__=inspect.signature(function), __doc__=function.__doc__)
        return function

    return make_callable


@contextmanager
def called_from_python() -> Iterator[None]:
    """The frame of a command that Python calls.

    Errors that the user can mend are ValueErrors. Hydra is free for the command, and afterwards as it was before: also
    a program or a notebook that uses Hydra itself may call a command, any number of times.
    """
    before = HydraConfig.instance().cfg, GlobalHydra.instance().hydra
    HydraConfig.instance().cfg = GlobalHydra.instance().hydra = None
    try:
        with raising_errors():
            yield
    finally:
        # Launchers put copies in the place of both instances.
        HydraConfig.instance().cfg, GlobalHydra.instance().hydra = before


@contextmanager
def as_command_line(program: str, words: Sequence[str]) -> Iterator[None]:
    """Words as this process's command line; afterwards it is as before, and so is the root logger."""
    root = logging.getLogger()
    arguments, handlers, level = sys.argv, root.handlers[:], root.level
    sys.argv = [program, *words]
    try:
        yield
    finally:
        sys.argv, root.handlers[:] = arguments, handlers
        root.setLevel(level)


def checked(overrides: Sequence[str]) -> list[str]:
    """``overrides`` as a list; ValueError for a text by itself, and for flags of the command line."""
    # Iterators would be empty when they are read again; of a dictionary only the names would remain.
    is_list = isinstance(overrides, Sequence) and not isinstance(overrides, str)
    if not is_list or not all(isinstance(override, str) for override in overrides):
        raise ValueError(f"overrides must be a list of options such as ['seed=1'], but got {overrides!r}")
    flags = [override for override in overrides if override.startswith("-")]
    if flags:
        raise ValueError(f"overrides must be options such as 'seed=1', but {flags[0]!r} is a flag of the command line")
    return list(overrides)


def is_several(override: str) -> bool:
    """Whether an override asks for several runs: it has several values, or names a file of grids."""
    found = parsed(override)
    return found.is_sweep_override() or (found.key_or_group == "sweep" and found.value() is not None)
