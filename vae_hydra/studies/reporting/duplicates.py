"""Runs of one configuration that lie in several folders: which one stands for the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from vae_hydra.runs.reading import RunFolder
from vae_hydra.studies.reporting import options


def without_duplicates(runs: Iterable[RunFolder]) -> tuple[list[RunFolder], list[tuple[Path, Path]]]:
    """One run of each configuration, with its copies, and pairs (left out, kept), in whatever order ``runs`` come.

    A done run stands before others, then the one with the most scores, then the one that finished last.
    """
    alike: dict[Any, list[RunFolder]] = defaultdict(list)
    for run in sorted(runs, key=_usefulness, reverse=True):
        alike[_what(run)].append(run)
    kept = [replace(first, copies=tuple(o for o in others if _is_copy(o, first))) for first, *others in alike.values()]
    left_out = [(other.path, first.path) for first, *others in alike.values() for other in others]
    return kept, left_out


def _what(run: RunFolder) -> Any:
    """Equal for runs whose options read alike; a run whose configuration is lost is like no other."""
    if not run.leaves:
        return run.path.resolve()
    texts = ((path, options.text(run.leaves, path)) for path in run.leaves)
    return frozenset((path, text) for path, text in texts if text != options.text({}, path))


def _is_copy(one: RunFolder, other: RunFolder) -> bool:
    """Whether both are one training, so that what was measured of one holds of the other."""
    return one.record.get("id") is not None and one.record.get("id") == other.record.get("id")


def _usefulness(run: RunFolder) -> tuple[bool, int, str, str]:
    count = len(run.metrics) + sum(len(evaluation["scores"]) for evaluation in run.evaluations.values())
    return run.status == "done", count, str(run.record.get("finished") or ""), str(run.path.resolve())
