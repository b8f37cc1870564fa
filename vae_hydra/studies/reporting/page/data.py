"""The data of a page for its script, as JSON: the list of runs, the metrics, links, curves and pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import pandas as pd

from vae_hydra.base import bounded
from vae_hydra.drawing.plots.series import LINES, Style
from vae_hydra.studies.reporting.compared import Compared
from vae_hydra.studies.reporting.measures import OWN, better, title, unit
from vae_hydra.studies.reporting.page.curves import curves
from vae_hydra.studies.reporting.page.pictures import pictures
from vae_hydra.studies.reporting.page.places import places
from vae_hydra.studies.reporting.pivots import Pivot, labels_in_order, values_of
from vae_hydra.studies.reporting.results import Results

# Columns of the list of runs that are visible at first: these, the options that differ, the next, the metrics of the
# tables, and the last.
MAIN = ("run", "status", "dataset", "noise", "sampler")
REPLICATES = ("seed", "fold")
COURSE = ("tags", "epochs", "final_loss")
# Columns that only name the cells of pivots.
HIDDEN = ("own_noise", "confounders")
# Status of runs without a curve.
SET_ASIDE = ("damaged", "partial", "outdated")
# SVG's dashes for the lines of series.
DASHES = dict(zip(LINES, ("", "6 3", "6 3 1.5 3", "1.5 3"), strict=True))
# Of numbers in the list; results.csv has all.
FIGURES = 6
# Beyond these, JavaScript's numbers are not whole.
LARGEST_WHOLE = 2**53


def data(
    results: Results,
    pivots: Sequence[Pivot],
    comparisons: Sequence[Compared],
    looks: Mapping[str, Style],
    output: Path,
) -> dict[str, Any]:
    """Everything that the script of a page in the folder ``output`` shows, as values of JSON."""
    frame = results.frame.drop(columns=[*HIDDEN]).assign(**_own(results.frame, pivots))
    main = [*MAIN, *results.keys, *REPLICATES, *(pivot.metric for pivot in pivots), *COURSE]
    names = [name for name in _in_order(frame.columns, main) if frame[name].notna().any()]
    by_folder = {bounded.readable(str(run.path)): run for run in results.runs}
    runs = [by_folder.get(folder) for folder in frame["folder"]]
    return {
        "columns": [{"name": n, "isMain": n in main, "meaning": _meaning(n)} for n in names],
        "values": [[value(entry) for entry in frame[name]] for name in names],
        "keys": results.keys,
        "metrics": [
            {"name": p.metric, "title": title(p.metric), "unit": unit(p.metric), "better": better(p.metric)}
            for p in pivots
        ],
        "samplers": labels_in_order(results.frame.dropna(subset=["sampler_label"])),
        "looks": {label: {"colour": look.colour, "dash": DASHES[look.line]} for label, look in looks.items()},
        **places(runs, output),
        "curves": curves([run.epochs if run and run.status not in SET_ASIDE else [] for run in runs]),
        "examples": list(pictures(comparisons)),
    }


def _in_order(names: Iterable[str], main: Sequence[str]) -> list[str]:
    """``names``, those of ``main`` first."""
    present = list(names)
    return list(dict.fromkeys([*(name for name in main if name in present), *present]))


def _own(frame: pd.DataFrame, pivots: Sequence[Pivot]) -> dict[str, pd.Series]:
    """Scores under each run's own noise of training, where a table has them."""
    own = [pivot.metric for pivot in pivots if pivot.metric.startswith(OWN)]
    return {metric: values_of(frame, metric).where(frame["noise"] != "none") for metric in own}


def _meaning(column: str) -> str:
    return f"{title(column)}: {unit(column)}" if "/" in column and title(column) != f"{column} ({column})" else ""


def value(entry: Any) -> Any:
    """A value of the results as JSON: numbers with six figures, ``["Infinity"]``, text, or None for nothing."""
    if pd.isna(entry):
        return None
    if isinstance(entry, bool) or not isinstance(entry, Real):
        return str(entry)
    number = float(entry)
    if math.isinf(number):
        return ["Infinity" if number > 0 else "-Infinity"]
    if number.is_integer() and abs(number) < LARGEST_WHOLE:
        return int(number)
    return float(f"{number:.{FIGURES}g}")


def as_script(content: Mapping[str, Any]) -> str:
    """JSON that stays within a script element, whatever text it holds."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
