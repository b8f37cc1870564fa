"""The page of a report: one HTML file that needs no network and runs no code except its own script."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from time import gmtime, strftime
from typing import Any, NamedTuple

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from vae_hydra.drawing.plots.series import Style
from vae_hydra.studies.reporting.compared import Compared
from vae_hydra.studies.reporting.measures import title
from vae_hydra.studies.reporting.page.data import as_script, data
from vae_hydra.studies.reporting.pivots import Pivot
from vae_hydra.studies.reporting.results import Results
from vae_hydra.studies.reporting.tables import grid, meaning, notes

HERE = Path(__file__).resolve().parent
# One script, in this order.
SCRIPTS = ("data", "filter", "list", "run", "plot", "curves", "tables", "scores", "matrix", "examples")
STATUSES = ("done", "running", "failed", "interrupted", "pruned", "damaged", "partial", "outdated", "missing")


class Page(NamedTuple):
    """The contents of a page.

    Attributes:
        comparisons: examples of each row.
        looks: label of a sampler → its style.
        folders: the folders of the report.
        output: the folder of the page, from which its links lead to the runs.
        without_examples: number of finished runs that kept no examples for figures.
    """

    results: Results
    pivots: Sequence[Pivot]
    comparisons: Sequence[Compared]
    looks: Mapping[str, Style]
    folders: Sequence[Path]
    output: Path
    without_examples: int


def render(page: Page) -> str:
    """The page as HTML: everything inline, all text from runs escaped, and only the script that the policy allows."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script = "\n".join((HERE / "scripts" / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    signature = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("template.html").render(
        script=script,
        signature=signature,
        style=(HERE / "style.css").read_text(encoding="utf-8"),
        data=as_script(data(page.results, page.pivots, page.comparisons, page.looks, page.output)),
        **_context(page),
    )


def _context(page: Page) -> dict[str, Any]:
    frame = page.results.frame
    counts = frame["status"].value_counts()
    shared = list(_shared_notes(page.pivots))
    return {
        "folders": [str(folder) for folder in page.folders],
        "written": strftime("%Y-%m-%d %H:%M UTC", gmtime()),
        "version": version("vae_hydra"),
        "count": len(frame),
        "counts": [(status, int(counts.get(status, 0))) for status in STATUSES],
        "notes": shared,
        "tables": [_table(pivot, shared) for pivot in page.pivots],
        "has_examples": bool(page.comparisons),
        "broken": list(_broken(frame)),
        "planned": page.results.planned,
        "sweeps": sorted({cell.command for cell in page.results.planned if cell.command}),
        "duplicates": page.results.duplicates,
        "differences": [difference for difference in page.results.differences if not difference.is_own],
        "own_differences": [difference for difference in page.results.differences if difference.is_own],
        "origins": list(_origins(page.results)),
        "stacked": _stacked(frame),
        "without_examples": page.without_examples,
    }


def _table(pivot: Pivot, shared: Sequence[str]) -> dict[str, Any]:
    return {
        "metric": pivot.metric,
        "title": title(pivot.metric),
        "meaning": meaning(pivot.metric),
        "notes": [note for note in notes(pivot) if note not in shared],
        "grid": grid(pivot),
        "rows": list(pivot.cells),
    }


def _shared_notes(pivots: Sequence[Pivot]) -> Iterator[str]:
    """Sentences that hold for most of the tables."""
    counts = Counter(note for pivot in pivots for note in notes(pivot))
    yield from (note for note, count in counts.items() if 2 * count > len(pivots))


def _stacked(frame: pd.DataFrame) -> tuple[int, int] | None:
    """Finished runs that were trained in stacks, and all finished runs; None unless there are both kinds."""
    done = frame[frame["status"] == "done"]
    count = int(done["stacked"].notna().sum())
    return (count, len(done)) if 0 < count < len(done) else None


def _broken(frame: pd.DataFrame) -> Iterator[dict[str, str]]:
    """Runs without scores, without a place in a table, or with partial damage, and the reason."""
    statuses = ("failed", "damaged", "interrupted", "partial", "outdated")
    for run in frame[frame["status"].isin(statuses) | frame["error"].notna()].to_dict("records"):
        yield {name: "" if pd.isna(run[name]) else str(run[name]) for name in ("run", "status", "error")}


def _origins(results: Results) -> Iterator[tuple[str, int]]:
    """Versions and commit of the runs, and the number of runs for each."""
    made = Counter(
        ", ".join(
            [
                *(f"{name} {number}" for name, number in sorted(_versions(run.record).items())),
                f"commit {str(run.record.get('git_commit') or 'unknown')[:12]}",
            ]
        )
        for run in results.runs
        if run.record
    )
    yield from made.most_common()


def _versions(record: Any) -> dict[str, Any]:
    versions = record.get("versions")
    return versions if isinstance(versions, dict) else {}
