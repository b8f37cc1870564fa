"""Noises that runs of a stack have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from vae_hydra.data.noise import Noise


class SharedNoise(NamedTuple):
    """A noise and the numbers of the runs that have it."""

    noise: Noise
    runs: list[int]


def shared_noises(noises: Sequence[Noise]) -> list[SharedNoise]:
    """The different noises among those of the runs; equal ones are drawn together."""
    groups: dict[Any, SharedNoise] = {}
    for run, noise in enumerate(noises):
        distribution = noise.distribution
        family = None if distribution is None else distribution.family
        values = () if distribution is None else [getattr(distribution, name).tolist() for name in distribution.names]
        groups.setdefault((noise.mode, family, str(values)), SharedNoise(noise, [])).runs.append(run)
    return list(groups.values())
