"""Cases of expensive tests: some at once, all in the slow suite."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest

# A sampler of each kind of latents: real, positive, drawn by rejection, without a density, that depend on one another.
KINDS = ("normal", "inverse_gaussian", "gamma", "deterministic", "normal_full")


def rest_slow(cases: Iterable[Any], at_once: Collection[Any] = KINDS) -> list[Any]:
    """``cases``, of which those not in ``at_once`` are slow; a case of several values is looked up by its last."""

    def last(case: Any) -> Any:
        return case[-1] if isinstance(case, tuple) else case

    def slow(case: Any) -> Any:
        return pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)

    return [case if last(case) in at_once else slow(case) for case in cases]
