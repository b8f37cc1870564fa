"""Which options differ between runs: those that make other cells, those that differ with the sampler, and the rest."""

from __future__ import annotations

import itertools
import json
from collections.abc import Container, Iterable, Sequence
from typing import Any, NamedTuple

from vae_hydra.runs.identity import Leaves
from vae_hydra.runs.later_options import later_defaults

# What rows, columns and replicates are made of anyway.
ROLES = ("dataset.name", "noise.name", "sampler.name", "seed", "dataset.fold")


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


def with_roles(own: Leaves, keys: Iterable[str]) -> dict[str, Any]:
    """``own`` with the value of everything that makes a cell, also where the run does not have it."""
    return {**own, **{path: value(own, path) for path in (*ROLES, *keys)}}


def value(options: Leaves, path: str) -> Any:
    """The value at a path; where a run has none, the default of an option that came later, or None."""
    return options[path] if path in options else later_defaults().get(path)


def text(options: Leaves, path: str) -> str:
    """The value at a path as one would type it; ``none`` where a run has none."""
    found = value(options, path)
    if type(found) is str:
        return found
    if found is None or found == {}:
        return "none"
    if isinstance(found, float) and found.is_integer():
        return str(int(found))
    return json.dumps(found, ensure_ascii=False, sort_keys=True)


class Compared:
    """The options of all runs, held against each other as text.

    Attributes:
        keys: the fewest options that tell runs of one (dataset, noise, sampler) apart wherever any options do. Of
            options that differ together, the one nearest to the surface stands for the others. A seed that goes with
            the run's (dataset.seed=${seed}) is part of the replicate.
        confounders: options that are no part of a sampler and differ between the samplers of one row, so that a
            comparison of those samplers is one of these options as well. The name of a group stands for what follows
            from it.
    """

    def __init__(self, runs: Sequence[Leaves]) -> None:
        self._columns = {
            path: [text(run, path) for run in runs] for path in {p for run in runs for p in run} | {*ROLES}
        }
        self._varying = [path for path, column in self._columns.items() if len(set(column)) > 1 and path not in ROLES]
        self._groups = _numbered(self._columns[path] for path in ROLES[:3])
        self._tied = {path for path in self._varying if path.endswith(".seed") and self._is_tied(path)}
        self.keys = self._keys()
        self.confounders = self._confounders()

    def _is_tied(self, path: str) -> bool:
        """Whether a further seed, within each (dataset, noise, sampler), is the same or the run's own, and varies in
        one of them."""
        values: dict[int, set[str]] = {}
        others: set[int] = set()
        for group, own, seed in zip(self._groups, self._columns[path], self._columns["seed"], strict=True):
            values.setdefault(group, set()).add(own)
            others |= {group} if own != seed else set()
        vary = {group for group, found in values.items() if len(found) > 1}
        return bool(vary) and not vary & others

    def _keys(self) -> list[str]:
        chosen: list[str] = []
        finest = self._groups
        for path in sorted(set(self._varying) - self._tied, key=_prominence):
            finer = _numbered([finest, self._columns[path]])
            if max(finer, default=0) > max(finest, default=0):
                chosen, finest = [*chosen, path], finer
        return sorted(chosen)

    def _confounders(self) -> list[str]:
        rows = _numbered(self._columns[p] for p in (*ROLES[:2], *self.keys) if not _is_of_sampler(p))
        count = max(rows, default=-1)
        candidates = set(self._varying) - self._tied - set(self.keys)
        found = [
            path
            for path in sorted(candidates, key=_prominence)
            if not _is_of_sampler(path) and max(_numbered([rows, self._columns[path]]), default=-1) > count
        ]
        names = {path for path in found if path.endswith(".name")}
        return [path for path in found if path in names or not self._is_named_by(path, names)]

    def _is_named_by(self, path: str, names: Container[str]) -> bool:
        name = f"{path.split('.')[0]}.name"
        return name in names and self._follows(path, (name,))

    def differences(self) -> list[Difference]:
        """Every option that differs but is no key, with the fewest of sampler, dataset, noise and keys it follows
        from."""
        return [self._difference(path) for path in sorted(set(self._varying) - set(self.keys), key=_prominence)]

    def _difference(self, path: str) -> Difference:
        own = f"{path.split('.')[0]}.name"
        factors = ["sampler.name", "dataset.name", "noise.name", *self.keys, *(["seed"] if path in self._tied else [])]
        ordered = sorted(factors, key=lambda factor: factor != own)
        subsets = (subset for size in range(1, 4) for subset in itertools.combinations(ordered, size))
        subset = next((subset for subset in subsets if self._follows(path, subset)), tuple(factors))
        given = zip(*(self._columns[factor] for factor in subset), strict=True)
        pairs = set(zip(map(", ".join, given), self._columns[path], strict=True))
        names = tuple(factor.removesuffix(".name") for factor in subset)
        return Difference(path, names, sorted(pairs), subset == (own,))

    def _follows(self, path: str, factors: Iterable[str]) -> bool:
        known: dict[tuple[str, ...], str] = {}
        given = zip(*(self._columns[factor] for factor in factors), strict=True)
        return all(known.setdefault(key, own) == own for key, own in zip(given, self._columns[path], strict=True))


def _numbered(columns: Iterable[Sequence[Any]]) -> list[int]:
    """A number for each run, from 0, equal for runs that are equal in every column."""
    numbers: dict[Any, int] = {}
    return [numbers.setdefault(values, len(numbers)) for values in zip(*columns, strict=True)]


def _is_of_sampler(path: str) -> bool:
    """Whether an option belongs to a sampler by design, as its prior, its degrees of freedom and its KL."""
    return path.startswith("sampler.")


def _prominence(path: str) -> tuple[bool, bool, int, str]:
    return path.endswith("_target_"), not path.endswith(".name"), path.count("."), path


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """Path → its last parts, as many as tell it from the others and from a run's seed; a group's name is the group's.

    >>> short_names(["model.latent_dim", "model.encoder.depth", "model.decoder.depth", "beta.name"])
    {'model.latent_dim': 'latent_dim', 'model.encoder.depth': 'encoder.depth', 'model.decoder.depth': 'decoder.depth', \
'beta.name': 'beta'}
    """
    parts = {path: path.removesuffix(".name").split(".") for path in paths}
    names = {}
    for path, own in parts.items():
        endings = (own[-size:] for size in range(1, len(own) + 1))
        others = [["seed"], *(other for key, other in parts.items() if key != path)]
        names[path] = ".".join(next((e for e in endings if not any(o[-len(e) :] == e for o in others)), own))
    return names
