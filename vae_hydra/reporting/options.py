"""Which options differ between runs: those that make other cells, and those that follow from what a cell is."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from vae_hydra.identity import CAME_LATER, identifying_options

# What rows, columns and replicates are made of anyway.
ROLES = ("dataset.name", "noise.name", "sampler.name", "seed", "dataset.fold")
Leaves = Mapping[str, Any]


class Difference(NamedTuple):
    """An option that is a function of others, so that a comparison between those is one of this as well.

    Attributes:
        path: of the option.
        factors: what it is a function of.
        values: pairs (values of the factors, value of the option), as text.
        is_own: whether it is part of the option group that it goes with, as sampler.prior of sampler.
    """

    path: str
    factors: tuple[str, ...]
    values: list[tuple[str, str]]
    is_own: bool


def leaves(config: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted path → value of everything that says what a run trains."""
    return flat(identifying_options(config))


def flat(node: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted path → value of everything in ``node``."""
    return dict(_flatten(node))


def with_roles(own: Leaves, keys: Iterable[str]) -> dict[str, Any]:
    """``own`` with the value of everything that makes a cell, also where the run does not have it."""
    return {**own, **{path: value(own, path) for path in (*ROLES, *keys)}}


def _flatten(node: Any, path: str = "") -> Iterable[tuple[str, Any]]:
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from _flatten(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, node


def value(options: Leaves, path: str) -> Any:
    """The value at a path; that of before the option existed, or None, where a run has none."""
    return options.get(path, CAME_LATER.get(path))


def text(options: Leaves, path: str) -> str:
    """The value at a path as one would type it; ``none`` where a run has none."""
    found = value(options, path)
    if found is None or found == {}:
        return "none"
    if isinstance(found, float) and found.is_integer():
        return str(int(found))
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, sort_keys=True, default=str)


def keys(runs: Sequence[Leaves]) -> list[str]:
    """The fewest options that tell runs of one (dataset, noise, sampler) apart wherever any options do.

    Of options that differ together, the one nearest to the surface stands for the others. A seed that goes with the
    run's (dataset.seed=${seed}) is part of the replicate.
    """
    groups = [_group(run) for run in runs]
    chosen: list[str] = []
    told_apart = len(set(groups))
    for path in sorted(set(_varying(runs)) - set(_tied_seeds(runs)), key=_prominence):
        finer = [(group, *(text(run, key) for key in (*chosen, path))) for run, group in zip(runs, groups, strict=True)]
        if len(set(finer)) > told_apart:
            chosen, told_apart = [*chosen, path], len(set(finer))
    return sorted(chosen)


def _group(run: Leaves) -> tuple[str, ...]:
    return tuple(text(run, path) for path in ROLES[:3])


def _varying(runs: Sequence[Leaves]) -> list[str]:
    paths = {path for run in runs for path in run} - set(ROLES)
    return [path for path in paths if len({text(run, path) for run in runs}) > 1]


def _tied_seeds(runs: Sequence[Leaves]) -> list[str]:
    """Further seeds that, within each (dataset, noise, sampler), do not differ or are the run's own throughout."""
    paths = [path for path in _varying(runs) if path.endswith(".seed")]
    groups: dict[tuple[str, ...], list[Leaves]] = {}
    for run in runs:
        groups.setdefault(_group(run), []).append(run)
    return [path for path in paths if all(_is_tied(own, path) for own in groups.values())]


def _is_tied(runs: Sequence[Leaves], path: str) -> bool:
    return len({text(run, path) for run in runs}) == 1 or all(text(run, path) == text(run, "seed") for run in runs)


def _prominence(path: str) -> tuple[bool, bool, int, str]:
    return path.endswith("_target_"), not path.endswith(".name"), path.count("."), path


def differences(runs: Sequence[Leaves], chosen: Sequence[str]) -> list[Difference]:
    """Every option that differs but is no key, with the fewest of sampler, dataset, noise and keys it follows from."""
    tied = _tied_seeds(runs)
    found = []
    for path in sorted(set(_varying(runs)) - set(chosen), key=_prominence):
        own = f"{path.split('.')[0]}.name"
        factors = ["sampler.name", "dataset.name", "noise.name", *chosen, *(["seed"] if path in tied else [])]
        ordered = sorted(factors, key=lambda factor: factor != own)
        subsets = (subset for size in range(1, 4) for subset in itertools.combinations(ordered, size))
        subset = next((subset for subset in subsets if _follows(runs, path, subset)), tuple(factors))
        pairs = {(", ".join(text(run, factor) for factor in subset), text(run, path)) for run in runs}
        names = tuple(factor.removesuffix(".name") for factor in subset)
        found.append(Difference(path, names, sorted(pairs), subset == (own,)))
    return found


def _follows(runs: Sequence[Leaves], path: str, factors: Sequence[str]) -> bool:
    pairs = {(tuple(text(run, factor) for factor in factors), text(run, path)) for run in runs}
    return len({given for given, _ in pairs}) == len(pairs)
