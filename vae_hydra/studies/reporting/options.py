"""Which options differ between runs: those that divide cells, those that vary with the sampler, and the rest."""

from __future__ import annotations

import itertools
import json
from collections.abc import Container, Iterable, Sequence
from typing import Any, NamedTuple

from vae_hydra.runs.identity import Leaves, plain_number
from vae_hydra.runs.later_options import later_defaults

# Options of rows, columns and replicates in every report.
ROLES = ("dataset.name", "noise.name", "sampler.name", "seed", "dataset.fold")


class Difference(NamedTuple):
    """An option that is a function of others: comparing those compares this one too.

    Attributes:
        path: dotted path of the option.
        factors: the options that determine it.
        values: pairs (values of the factors, value of the option), as text.
        is_own: whether the group that it belongs to determines it, as sampler determines sampler.prior.
    """

    path: str
    factors: tuple[str, ...]
    values: list[tuple[str, str]]
    is_own: bool


def with_roles(options: Leaves, keys: Iterable[str]) -> dict[str, Any]:
    """``options`` with a value at each of ``ROLES`` and ``keys``, also where the run lacks the option."""
    return {**options, **{path: value(options, path) for path in (*ROLES, *keys)}}


def value(options: Leaves, path: str) -> Any:
    """The value at a path. A run without the option has the value from before the option existed, or None."""
    return options[path] if path in options else later_defaults().get(path)


def value_text(options: Leaves, path: str) -> str:
    """The value at a path as on the command line; ``none`` for a run without the option."""
    found = value(options, path)
    if type(found) is str:
        return found
    if found is None or found == {}:
        return "none"
    if isinstance(found, float) and found.is_integer():
        found = plain_number(found)
    return json.dumps(found, ensure_ascii=False, sort_keys=True)


class Compared:
    """The options of all runs, compared as text.

    Attributes:
        keys: a smallest set of options that tells runs of one (dataset, noise, sampler) apart wherever any options do.
            Of options that vary together, the one with the shortest path represents the others. A seed that follows
            the run's (dataset.seed=${seed}) is part of the replicate.
        confounders: options outside the sampler that differ between the samplers of one row: comparing the samplers
            compares these too. The name of a group represents the options that follow from it.
    """

    def __init__(self, runs: Sequence[Leaves]) -> None:
        self._columns = {
            path: [value_text(run, path) for run in runs] for path in {p for run in runs for p in run} | {*ROLES}
        }
        self._varying = [path for path, column in self._columns.items() if len(set(column)) > 1 and path not in ROLES]
        self._groups = _numbered(self._columns[path] for path in ROLES[:3])
        self._tied = {path for path in self._varying if path.endswith(".seed") and self._is_tied(path)}
        self.keys = self._keys()
        self.confounders = self._confounders()

    def _is_tied(self, path: str) -> bool:
        """Whether a second seed follows the run's: in each (dataset, noise, sampler) it is constant or equal to the
        run's, and it varies somewhere."""
        values: dict[int, set[str]] = {}
        others: set[int] = set()
        for group, second, seed in zip(self._groups, self._columns[path], self._columns["seed"], strict=True):
            values.setdefault(group, set()).add(second)
            others |= {group} if second != seed else set()
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
        """Every option that differs but is no key, with the fewest of sampler, dataset, noise and keys that
        determine it."""
        return [self._difference(path) for path in sorted(set(self._varying) - set(self.keys), key=_prominence)]

    def _difference(self, path: str) -> Difference:
        group = f"{path.split('.')[0]}.name"
        factors = ["sampler.name", "dataset.name", "noise.name", *self.keys, *(["seed"] if path in self._tied else [])]
        ordered = sorted(factors, key=lambda factor: factor != group)
        subsets = (subset for size in range(1, 4) for subset in itertools.combinations(ordered, size))
        subset = next((subset for subset in subsets if self._follows(path, subset)), tuple(factors))
        causes = zip(*(self._columns[factor] for factor in subset), strict=True)
        pairs = set(zip(map(", ".join, causes), self._columns[path], strict=True))
        names = tuple(factor.removesuffix(".name") for factor in subset)
        return Difference(path, names, sorted(pairs), subset == (group,))

    def _follows(self, path: str, factors: Iterable[str]) -> bool:
        known: dict[tuple[str, ...], str] = {}
        causes = zip(*(self._columns[factor] for factor in factors), strict=True)
        return all(known.setdefault(key, text) == text for key, text in zip(causes, self._columns[path], strict=True))


def _numbered(columns: Iterable[Sequence[Any]]) -> list[int]:
    """A number for each run, counted from 0; runs that are equal in every column share a number."""
    numbers: dict[Any, int] = {}
    return [numbers.setdefault(values, len(numbers)) for values in zip(*columns, strict=True)]


def _is_of_sampler(path: str) -> bool:
    """Whether an option belongs to the sampler, such as its prior, its degrees of freedom and its KL."""
    return path.startswith("sampler.")


def _prominence(path: str) -> tuple[bool, bool, int, str]:
    return path.endswith("_target_"), not path.endswith(".name"), path.count("."), path


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """Path → the fewest last parts that tell it from the others and from the run's seed; without ``.name``.

    >>> short_names(["model.latent_dim", "model.encoder.depth", "model.decoder.depth", "beta.name"])
    {'model.latent_dim': 'latent_dim', 'model.encoder.depth': 'encoder.depth', 'model.decoder.depth': 'decoder.depth', \
'beta.name': 'beta'}
    """
    parts = {path: path.removesuffix(".name").split(".") for path in paths}
    names = {}
    for path, keys in parts.items():
        endings = (keys[-size:] for size in range(1, len(keys) + 1))
        others = [["seed"], *(other for key, other in parts.items() if key != path)]
        names[path] = ".".join(next((e for e in endings if not any(o[-len(e) :] == e for o in others)), keys))
    return names
