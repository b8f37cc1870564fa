"""The files of a report: the table, its pivots, the figures and the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import Parallel, cpu_count, delayed

from vae_hydra.base.files import filling_folder, replace_atomically, write_text
from vae_hydra.runs.examples import EXAMPLES
from vae_hydra.studies.reporting import figures
from vae_hydra.studies.reporting.compared import Compared, compared
from vae_hydra.studies.reporting.comparisons import comparisons as paired_differences
from vae_hydra.studies.reporting.figures import Drawn
from vae_hydra.studies.reporting.measures import title
from vae_hydra.studies.reporting.page import Page, render
from vae_hydra.studies.reporting.pivots import Pivot
from vae_hydra.studies.reporting.results import Results
from vae_hydra.studies.reporting.tables import latex, markdown

PAGE = "report.html"
# The beginnings of the figures' names.
DRAWN = ("means-", "beta-", "denoising-", "examples-")
FILES = ("results.csv", "tables.md", "comparisons.csv", "tables", "figures")
# Starting a process takes as long as drawing so many figures.
FIGURES_A_PROCESS = 8
# Of a PNG; the SVG has every detail.
DOTS_PER_INCH, MOST_PIXELS_ACROSS = 130, 2600
# A spreadsheet reads text that begins with these as a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_report(output: Path, results: Results, pivots: Sequence[Pivot], folders: Sequence[Path]) -> Path:
    """Write all files of a report under ``output``, or none of them, and return the page's path."""
    comparisons = list(compared(results.frame))
    drawn = draw(results, pivots, comparisons)
    looks = figures.styles(results.frame)
    page = Page(results, pivots, comparisons, looks, folders, output, without_examples(results))
    earlier = _drawings(output) if (output / PAGE).exists() else []
    with filling_folder(output) as new:
        for folder in (new / "tables", new / "figures"):
            folder.mkdir()
        write_text(new / "results.csv", as_csv(results.frame))
        write_text(new / "tables.md", "\n".join(f"## {title(p.metric)}\n\n{markdown(p)}" for p in pivots))
        write_text(new / "comparisons.csv", as_csv(paired_differences(pivots)))
        for pivot in pivots:
            write_text(new / "tables" / f"{figures.file_name(pivot.metric)}.tex", latex(pivot))
        save_all(drawn, new / "figures")
        write_text(new / PAGE, render(page))
        present = {path.relative_to(new) for path in _drawings(new)}
    # Those of other metrics and runs.
    for file in earlier:
        if file.relative_to(output) not in present:
            file.unlink()
    return output / PAGE


def check_replaceable(output: Path, name: str) -> None:
    """Refuse a folder that holds files of a report's names, but no report; ``name`` is what messages call it.

    Raises:
        ValueError: naming the files.
    """
    found = [file for file in FILES if (output / file).exists()]
    if found and not (output / PAGE).exists():
        raise ValueError(f"{name} holds {', '.join(found)} of no report; give another folder, or move them away")


def _drawings(report: Path) -> list[Path]:
    """The tables and figures of a report, without files of the user's own beside them."""
    found = [file for kind in ("png", "svg") for file in (report / "figures").glob(f"*.{kind}")]
    figures_of_reports = [file for file in found if file.name.startswith(DRAWN)]
    # Each table has a figure.
    names = {file.stem.removeprefix("means-") for file in figures_of_reports}
    return [*figures_of_reports, *(file for file in (report / "tables").glob("*.tex") if file.stem in names)]


def as_csv(frame: pd.DataFrame) -> str:
    """``frame`` as CSV without formulas: an apostrophe precedes text that a spreadsheet would read as one.

    Numbers stay numbers, also in columns of text.
    """
    texts = [name for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])]
    harmless = frame.assign(**{name: frame[name].map(_harmless) for name in texts}) if texts else frame
    return harmless.rename(columns=_harmless).to_csv(index=False)


def _harmless(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    is_formula = value.startswith(FORMULA) and not _is_number(value)
    # CSV leaves a single carriage return unquoted, and readers end the row there.
    return ("'" * is_formula + value).replace("\r\n", "\n").replace("\r", "\n")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def draw(results: Results, pivots: Sequence[Pivot], comparisons: Iterable[Compared]) -> list[Drawn]:
    """Every figure of the runs."""
    styles = figures.styles(results.frame)
    return [
        *figures.examples(comparisons),
        *(figures.means(pivot, styles) for pivot in pivots),
        *figures.beta_curves(results.frame, pivots, styles),
        *figures.denoising(results.frame),
    ]


def without_examples(results: Results) -> int:
    """The number of finished runs that kept no examples for figures."""
    done = results.frame[results.frame["status"] == "done"]
    return sum(not (Path(folder) / EXAMPLES).is_file() for folder in done["folder"])


def save_all(drawn: Sequence[Drawn], folder: Path) -> None:
    """Save every figure as a PNG and an SVG in ``folder``, on all cores if there are many figures."""
    jobs = max(1, min(cpu_count(), len(drawn) // FIGURES_A_PROCESS))
    # By default joblib would copy large arrays to a temporary folder.
    parallel = Parallel(n_jobs=jobs, backend="multiprocessing", max_nbytes=None)
    parallel(delayed(save)(one, folder) for one in drawn)


def save(drawn: Drawn, folder: Path) -> None:
    """Save a figure as a PNG and an SVG in ``folder``."""
    figure = drawn.figure
    with figures.without_math():
        # One layout serves both files: matplotlib would draw the figure once more for each.
        if engine := figure.get_layout_engine():
            engine.execute(figure)
            figure.set_layout_engine(None)
        dpi = min(DOTS_PER_INCH, MOST_PIXELS_ACROSS / max(figure.get_size_inches()))
        for kind in ("png", "svg"):
            replace_atomically(folder / f"{drawn.name}.{kind}", partial(figure.savefig, format=kind, dpi=dpi))
