"""Which runs lie in folders: each found once, and one run of each configuration."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from vae_hydra.runs.reading import RunFolder
from vae_hydra.studies.reporting.options import value_text


def find(folders: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """The folders of runs and the plans of sweeps under ``folders``, each once; runs are not searched."""
    runs: dict[Path, Path] = {}
    plans: dict[Path, Path] = {}
    for folder in folders:
        for parent, below, names in os.walk(folder):
            below.sort()
            here = Path(parent)
            if "run.json" in names:
                runs.setdefault(here.resolve(), here)
                below.clear()
            elif "plan.json" in names and here.parent.name == "sweeps":
                plans.setdefault(here.resolve(), here / "plan.json")
    return list(runs.values()), list(plans.values())


def without_duplicates(runs: Iterable[RunFolder]) -> tuple[list[RunFolder], list[tuple[Path, Path]]]:
    """One run of each configuration, with its copies, and pairs (left out, kept); the order of ``runs`` has no effect.

    A finished run is kept before others, then the one with the most scores, then the one that finished last.
    """
    alike: dict[Any, list[RunFolder]] = defaultdict(list)
    for run in sorted(runs, key=_usefulness, reverse=True):
        alike[_configuration(run)].append(run)
    kept = [replace(first, copies=tuple(o for o in others if _is_copy(o, first))) for first, *others in alike.values()]
    left_out = [(other.path, first.path) for first, *others in alike.values() for other in others]
    return kept, left_out


def _configuration(run: RunFolder) -> Any:
    """A key, equal for runs whose options have equal texts; a run without a configuration has one of its own."""
    if not run.leaves:
        return run.path.resolve()
    texts = ((path, value_text(run.leaves, path)) for path in run.leaves)
    return frozenset((path, text) for path, text in texts if text != value_text({}, path))


def _is_copy(one: RunFolder, other: RunFolder) -> bool:
    """Whether both are copies of one training, so that scores of one are scores of the other."""
    return one.record.get("id") is not None and one.record.get("id") == other.record.get("id")


def _usefulness(run: RunFolder) -> tuple[bool, int, str, str]:
    count = len(run.metrics) + sum(len(evaluation["scores"]) for evaluation in run.evaluations.values())
    return run.status == "done", count, str(run.record.get("finished") or ""), str(run.path.resolve())
