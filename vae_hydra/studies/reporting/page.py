"""The page of a report: one HTML file that needs no network and runs no code except its own script."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from numbers import Real
from pathlib import Path
from time import gmtime, strftime
from typing import Any, NamedTuple

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from vae_hydra.studies.reporting.measures import title
from vae_hydra.studies.reporting.pivots import Pivot
from vae_hydra.studies.reporting.results import Results
from vae_hydra.studies.reporting.tables import MINUS, caption, grid

HERE = Path(__file__).resolve().parent
# Columns of the list of runs that are visible at first, with the metrics of the tables.
MAIN = ("run", "dataset", "noise", "sampler", "seed", "fold", "status", "tags", "epochs", "final_loss")
# Columns that only name the cells of pivots.
HIDDEN = ("noise_label", "sampler_label", "options", "own_noise", "confounders")
STATUSES = ("done", "running", "failed", "interrupted", "pruned", "damaged", "partial", "outdated", "missing")


class Page(NamedTuple):
    """The contents of a page.

    Attributes:
        pictures: pairs (caption, PNG file).
        folders: the folders of the report.
        without_examples: number of finished runs that kept no examples for figures.
    """

    results: Results
    pivots: Sequence[Pivot]
    pictures: Sequence[tuple[str, Path]]
    folders: Sequence[Path]
    without_examples: int


class Entry(NamedTuple):
    """One value in the list of runs: its text and, for a number, the key to sort it by."""

    text: str
    number: str | None


def render(page: Page) -> str:
    """The page as HTML: everything inline, all text from runs escaped, and only the script that the policy allows."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script = (HERE / "page.js").read_text(encoding="utf-8")
    signature = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("page.html").render(
        script=script,
        signature=signature,
        style=(HERE / "page.css").read_text(encoding="utf-8"),
        **_context(page),
    )


def _context(page: Page) -> dict[str, Any]:
    frame = page.results.frame
    columns = list(_columns(page))
    counts = frame["status"].value_counts()
    return {
        "folders": [str(folder) for folder in page.folders],
        "written": strftime("%Y-%m-%d %H:%M UTC", gmtime()),
        "version": version("vae_hydra"),
        "counts": [(status, int(counts.get(status, 0))) for status in STATUSES],
        "tables": [(title(pivot.metric), caption(pivot), grid(pivot)) for pivot in page.pivots],
        "pictures": [(text, _data_uri(path)) for text, path in page.pictures],
        "columns": columns,
        "runs": [[(name, _entry(row[name])) for name, _ in columns] for row in frame.to_dict("records")],
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


def _stacked(frame: pd.DataFrame) -> tuple[int, int] | None:
    """Finished runs that were trained in stacks, and all finished runs; None unless there are both kinds."""
    done = frame[frame["status"] == "done"]
    count = int(done["stacked"].notna().sum())
    return (count, len(done)) if 0 < count < len(done) else None


def _columns(page: Page) -> Iterator[tuple[str, bool]]:
    """Columns of the list of runs with any value, and whether they are visible at first."""
    frame = page.results.frame
    main = {*MAIN, *page.results.keys, *(pivot.metric for pivot in page.pivots)}
    for name in frame.columns:
        if name not in HIDDEN and frame[name].notna().any():
            yield name, name in main


def _entry(value: Any) -> Entry:
    if pd.isna(value):
        return Entry("", None)
    if isinstance(value, bool) or not isinstance(value, Real):
        return Entry(str(value), None)
    number = float(value)
    text = f"{number:.0f}" if number.is_integer() else f"{number:.5g}"
    return Entry(text.replace("-", MINUS), repr(number))


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


def _data_uri(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
