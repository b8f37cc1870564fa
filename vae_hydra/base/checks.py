"""Checks of a user's values: each returns the value, or raises ValueError with the requirement and the value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any


def positive_integer(name: str, value: Any) -> int:
    """Return ``value`` if it is an integer ≥ 1; raise ValueError otherwise."""
    return integer(name, value, minimum=1)


def non_negative_integer(name: str, value: Any) -> int:
    """Return ``value`` if it is an integer ≥ 0; raise ValueError otherwise."""
    return integer(name, value, minimum=0)


def integer(name: str, value: Any, minimum: int, maximum: float = math.inf) -> int:
    """Return ``value`` if it is an integer from ``minimum`` to ``maximum``; raise ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
        required = f"≥ {minimum}" if maximum == math.inf else f"from {minimum} to {maximum}"
        raise ValueError(f"{name} must be an integer {required}, but got {value!r}")
    return value


def number(name: str, value: Any) -> float:
    """Return ``value`` if it is a finite number; raise ValueError otherwise."""
    return _real(name, value, "a finite number", lambda v: True)


def positive(name: str, value: Any) -> float:
    """Return ``value`` if it is a finite number > 0; raise ValueError otherwise."""
    return _real(name, value, "a number > 0", lambda v: v > 0)


def non_negative(name: str, value: Any) -> float:
    """Return ``value`` if it is a finite number ≥ 0; raise ValueError otherwise."""
    return _real(name, value, "a number ≥ 0", lambda v: v >= 0)


def share(name: str, value: Any) -> float:
    """Return ``value`` if it is a share in [0, 1); raise ValueError otherwise."""
    return _real(name, value, "a number in [0, 1)", lambda v: 0 <= v < 1)


def positive_share(name: str, value: Any) -> float:
    """Return ``value`` if it is a share in (0, 1]; raise ValueError otherwise."""
    return _real(name, value, "a number in (0, 1]", lambda v: 0 < v <= 1)


def boolean(name: str, value: Any) -> bool:
    """Return ``value`` if it is true or false; raise ValueError otherwise."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, but got {value!r}")
    return value


def seed(name: str, value: Any) -> int:
    """Return ``value`` if it is an integer in [0, 2³²); raise ValueError otherwise."""
    if non_negative_integer(name, value) >= 2**32:
        raise ValueError(f"{name} must be an integer below 2³², but got {value!r}")
    return value


def plain_name(name: str, value: Any) -> str:
    """Return ``value`` if it can be part of the names of folders and metrics; raise ValueError otherwise."""
    if not isinstance(value, str) or not value or not all(c.isalnum() or c == "_" for c in value):
        raise ValueError(f"{name} must be made of letters, digits and '_', but got {value!r}")
    return value


def one_of(name: str, value: Any, allowed: Iterable[str]) -> Any:
    """Return ``value`` if it is among ``allowed``; raise ValueError otherwise."""
    options = list(allowed)
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} must be one of {', '.join(options)}, but got {value!r}")
    return value


def texts(name: str, values: Any) -> list[str]:
    """Return ``values`` if it is a list of texts that are not empty; raise ValueError otherwise."""
    if not isinstance(values, list) or not all(isinstance(value, str) and value for value in values):
        raise ValueError(f"{name} must be a list of words, as in {name}=[first,second], but got {values!r}")
    return values


def positive_integers(name: str, values: Any) -> list[int]:
    """Return ``values`` as a list if every entry is an integer ≥ 1; raise ValueError otherwise."""
    return integers(name, values, minimum=1)


def integers(name: str, values: Any, minimum: int) -> list[int]:
    """Return ``values`` as a list if every entry is an integer ≥ ``minimum``; raise ValueError otherwise."""
    if not isinstance(values, (list, tuple)):
        raise ValueError(f"{name} must be a list of integers ≥ {minimum}, but got {values!r}")
    return [integer(f"{name}[{i}]", value, minimum) for i, value in enumerate(values)]


def group(name: str, value: Any) -> Mapping[str, Any]:
    """Return ``value`` if it is a group of options; raise ValueError otherwise."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be a group of options, but got {value!r}")
    return value


def _real(name: str, value: Any, requirement: str, accepts: Any) -> float:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not accepts(value):
        raise ValueError(f"{name} must be {requirement}, but got {value!r}")
    return float(value)
