"""The parts of an override on a command line, such as ``+model.latent_dim=2``."""

from __future__ import annotations

import functools

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override


@functools.lru_cache(maxsize=1024)
def parsed(override: str) -> Override:
    """An override as Hydra reads it."""
    return OverridesParser.create().parse_override(override)


def key_of(override: str) -> str:
    """The option or group that an override names.

    >>> key_of("+model.latent_dim=2"), key_of("~scheduler"), key_of("noise@test_noises.other=normal")
    ('model.latent_dim', 'scheduler', 'noise')
    """
    return parsed(override).key_or_group


def path_of(override: str) -> str:
    """The dotted path in the configuration that an override changes.

    >>> path_of("+model.latent_dim=2"), path_of("noise@test_noises.other=normal")
    ('model.latent_dim', 'test_noises.other')
    """
    found = parsed(override)
    return (found.package or found.key_or_group).replace("/", ".")


def split(text: str) -> tuple[str, str]:
    """Key and value as text, where parsing is too slow, or the text may be no override.

    >>> split("++model.latent_dim=2"), split("~scheduler")
    (('model.latent_dim', '2'), ('scheduler', ''))
    """
    key, _, value = text.lstrip("+~").partition("=")
    return key, value
