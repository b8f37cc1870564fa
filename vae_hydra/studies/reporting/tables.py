"""Pivots as Markdown, LaTeX and data frames: the same cells in the notation of each."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pandas as pd
from tabulate import tabulate

from vae_hydra.studies.reporting.measures import better, title, unit
from vae_hydra.studies.reporting.paired_test import FEWEST_PAIRS
from vae_hydra.studies.reporting.pivots import Cell, Pivot, Row

MINUS = "\u2212"
# Status → what a cell without a value shows: the entry of the first status that any of its replicates has.
IN_WORDS = {
    "failed": "FAILED",
    **{status: status for status in ("damaged", "interrupted", "pruned", "running", "missing")},
    "done": "—",
}
# Numbers beyond these have an exponent.
LARGE, SMALL = 1e6, 1e-4
LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    MINUS: "$-$",
    "±": r"$\pm$",
    "½": r"$\frac{1}{2}$",
    "Σ": r"$\Sigma$",
    "x̂": r"$\hat{x}$",
    "²": "$^2$",
    "·": r"$\cdot$",
    "β": r"$\beta$",
    "‖": r"$\|$",
    "∞": r"$\infty$",
    "≥": r"$\geq$",
    "—": "---",
    "“": "``",
    "”": "''",
}
# Within a formula.
LATEX_NUMBERS = {MINUS: "-", "±": r"\pm", "∞": r"\infty", "NaN": r"\mathrm{NaN}"}


class Shown(NamedTuple):
    """The text of a cell.

    Attributes:
        number: mean ± standard deviation, or empty.
        words: the number of replicates where it is unusual, or the status where there is no value.
        is_best: whether it is bold.
    """

    number: str
    words: str
    is_best: bool

    @property
    def text(self) -> str:
        """Number and words."""
        return " ".join(filter(None, (self.number, self.words)))


class Grid(NamedTuple):
    """The text of a table: names of the label columns, names of the value columns, and rows of (labels, cells)."""

    labels: list[str]
    columns: list[str]
    rows: list[tuple[list[str], list[Shown]]]


def grid(pivot: Pivot) -> Grid:
    """The text of a pivot. All cells of a row have the same number of decimals, chosen by the spreads of the row."""
    with_options = any(row.options for row in pivot.cells)
    rows = []
    for row, cells in pivot.cells.items():
        decimals = _decimals(list(cells.values()))
        shown = [
            _shown(cells.get(column), decimals, pivot.usual_n, pivot.best.get(row) == column)
            for column in pivot.columns
        ]
        rows.append((_labels(row, with_options), shown))
    return Grid(["dataset", "noise", *(["options"] if with_options else [])], pivot.columns, rows)


def _labels(row: Row, with_options: bool) -> list[str]:
    return list(row) if with_options else [row.dataset, row.noise]


def _shown(cell: Cell | None, decimals: int | None, usual_n: int, is_best: bool) -> Shown:
    if cell is None:
        return Shown("", "", False)
    if not cell.n:
        word = next(word for status, word in IN_WORDS.items() if cell.others[status])
        return Shown("", word, False)
    spread = "" if math.isnan(cell.spread) else f" ± {number(cell.spread, decimals)}"
    words = ""
    if cell.n < cell.total:
        words = f"({cell.n} of {cell.total})"
    elif cell.n != usual_n or cell.n == 1:
        words = f"(n = {cell.n})"
    return Shown(number(cell.mean, decimals) + spread, words, is_best)


def number(value: float, decimals: int | None) -> str:
    """``value`` with a true minus sign; with an exponent if ``decimals`` is None.

    >>> number(-1.25, 1), number(1.5e-7, None), number(float("inf"), 2)
    ('\u22121.2', '1.50e\u22127', '∞')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    if decimals is not None:
        text = f"{value:.{decimals}f}"
        text = text.lstrip("-") if float(text) == 0 else text
    else:
        mantissa, exponent = f"{value:.2e}".split("e")
        text = f"{mantissa}e{int(exponent)}"
    return text.replace("-", MINUS)


def _decimals(cells: Sequence[Cell]) -> int | None:
    """The number of decimals of a row; None for an exponent.

    They show two figures of the largest spread and one of the smallest, but at most six figures of the largest mean.
    Without spreads they show four figures of the largest mean and two of the smallest.
    """
    means = [abs(cell.mean) for cell in cells if cell.n and math.isfinite(cell.mean) and cell.mean]
    spreads = [cell.spread for cell in cells if cell.n and cell.spread > 0]
    if not means:
        return 0
    largest = max(means)
    if not SMALL <= largest < LARGE:
        return None
    wanted = max(_to(max(spreads), 2), _to(min(spreads), 1)) if spreads else max(_to(largest, 4), _to(min(means), 2))
    return min(max(0, wanted), max(0, _to(largest, 6)))


def _to(value: float, figures: int) -> int:
    """The decimals that show so many figures of a value."""
    return figures - 1 - math.floor(math.log10(value))


def caption(pivot: Pivot) -> str:
    """The table's caption: metric and unit, which way is better, the contents of a cell, and the meaning of bold."""
    return " ".join([f"{title(pivot.metric)}: {meaning(pivot.metric)}.", *notes(pivot)])


def meaning(metric: str) -> str:
    """What a metric measures, its unit, and which way is better."""
    return unit(metric) + {-1: "; less is better", 0: "", 1: "; more is better"}[better(metric)]


def notes(pivot: Pivot) -> list[str]:
    """The sentences of a caption that several tables may share: the contents of a cell, and the meaning of bold."""
    replicates = "seeds and folds" if pivot.has_folds else "seeds"
    n = pivot.usual_n
    cells = f"Mean ± standard deviation (n {MINUS} 1) over {n} {replicates}" if n > 1 else "One seed a cell"
    return [f"{cells}, unless a cell says otherwise.", *_on_bold(pivot, replicates)]


def _on_bold(pivot: Pivot, replicates: str) -> Iterable[str]:
    if not better(pivot.metric):
        return
    if len(pivot.columns) < 2:
        yield "There is one column: nothing was compared."
    elif pivot.most_pairs < FEWEST_PAIRS:
        common = f"{FEWEST_PAIRS} {replicates} in common"
        yield f"Nothing is bold: no two columns have {common}, so that no difference was tested."
    else:
        yield (
            f"Bold: the best mean of its row, where a two-sided paired t-test over the common {replicates} "
            f"(at least {FEWEST_PAIRS}) tells it from every other column of the row with p < {pivot.level:g}."
        )
        if pivot.has_folds:
            yield "Folds share training examples: this says nothing of other data."
    if pivot.has_confounders:
        yield "Columns of a row that differ in more than the sampler are not compared: nothing there is bold."


def markdown(pivot: Pivot) -> str:
    """The table with its caption below, aligned so that it is readable as plain text."""
    shown = grid(pivot)
    header = [*shown.labels, *map(_markdown_text, shown.columns)]
    rows = [[*map(_markdown_text, labels), *map(_markdown_cell, cells)] for labels, cells in shown.rows]
    alignment = ["left"] * len(shown.labels) + ["right"] * len(shown.columns)
    table = tabulate(rows, header, "pipe", colalign=alignment, disable_numparse=True)
    return f"{table}\n\n{_markdown_text(caption(pivot))}\n"


def _markdown_cell(cell: Shown) -> str:
    return cell._replace(number=f"**{cell.number}**" if cell.is_best else cell.number).text


def _markdown_text(text: str) -> str:
    # A "<" stays readable where no tag can begin.
    return re.sub(r"([\\`*|\[\]]|<(?=[\w/!?]))", r"\\\1", text)


def latex(pivot: Pivot) -> str:
    r"""The table as a float for ``\input``; the document needs ``\usepackage{booktabs}``."""
    shown = grid(pivot)
    header = [*map(latex_text, shown.labels), *map(latex_text, shown.columns)]
    rows = [[*map(latex_text, labels), *map(_latex_cell, cells)] for labels, cells in shown.rows]
    table = pd.DataFrame(rows, columns=header).style.hide(axis="index")
    return "% \\usepackage{booktabs}\n" + table.to_latex(
        column_format="l" * len(shown.labels) + "r" * len(shown.columns),
        position="htbp",
        position_float="centering",
        hrules=True,
        caption=latex_text(caption(pivot)),
    )


def latex_text(text: str) -> str:
    r"""``text`` with LaTeX's special characters escaped, and the signs of captions as formulas that pdflatex knows.

    >>> latex_text("inverse_gaussian ± 5 %")
    'inverse\\_gaussian $\\pm$ 5 \\%'
    """
    return _replaced(text, LATEX)


def _replaced(text: str, signs: dict[str, str]) -> str:
    return re.sub("|".join(map(re.escape, signs)), lambda match: signs[match[0]], text)


def _latex_cell(cell: Shown) -> str:
    digits = re.sub(r"e(-?\d+)", r"\\cdot 10^{\1}", _replaced(cell.number, LATEX_NUMBERS))
    formula = rf"$\mathbf{{{digits}}}$" if cell.is_best else f"${digits}$"
    return Shown(formula if cell.number else "", latex_text(cell.words), cell.is_best).text


def as_frame(pivot: Pivot) -> pd.DataFrame:
    """The table as a frame of text, with the row's best column in the last column: for loggers of tables."""
    shown = grid(pivot)
    rows = [
        [*labels, *(cell.text for cell in cells), pivot.best.get(row, "")]
        for (labels, cells), row in zip(shown.rows, pivot.cells, strict=True)
    ]
    return pd.DataFrame(rows, columns=[*shown.labels, *shown.columns, "best"])
