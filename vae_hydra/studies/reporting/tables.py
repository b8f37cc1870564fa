"""Pivots as Markdown, LaTeX and text: the same cells, written as each wants them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pandas as pd

from vae_hydra.studies.reporting.measures import better, title, unit
from vae_hydra.studies.reporting.pivots import FEWEST_PAIRS, Cell, Pivot, Row

MINUS = "\u2212"
# What a cell says in place of a value: the first of these that any of its replicates is.
IN_WORDS = {
    "failed": "FAILED",
    "damaged": "damaged",
    "interrupted": "interrupted",
    "pruned": "pruned",
    "running": "running",
    "missing": "missing",
    "done": "—",
}
# Beyond these, numbers are written with an exponent.
LARGE, SMALL = 1e6, 1e-4
LATEX = {
    "\\\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "\u2212": "$-$",
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


class Shown(NamedTuple):
    """A cell in writing.

    Attributes:
        number: mean ± standard deviation, or empty.
        words: how many replicates that is, where it has to be said, or what there is in place of a value.
        is_best: whether it is bold.
    """

    number: str
    words: str
    is_best: bool

    @property
    def text(self) -> str:
        """Number and words."""
        return " ".join(part for part in (self.number, self.words) if part)


class Grid(NamedTuple):
    """A table in writing: names of all columns, and rows of (labels, cells)."""

    labels: list[str]
    columns: list[str]
    rows: list[tuple[list[str], list[Shown]]]


def grid(pivot: Pivot) -> Grid:
    """What a pivot shows: digits as the spreads of a row warrant, the same number of decimals throughout the row."""
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
    # Not all that were planned came to a value, or not as many as elsewhere.
    words = f"({cell.n} of {cell.total})" if cell.n < cell.total else ""
    if not words and (cell.n != usual_n or cell.n == 1):
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
    """Two figures of the largest spread and one of the least, at most six figures of the largest mean; four of the
    largest and two of the least mean where there are no spreads. None: with an exponent."""
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
    """Decimals that show so many figures of a value."""
    return figures - 1 - math.floor(math.log10(value))


def caption(pivot: Pivot) -> str:
    """What a table shows: the metric and its unit, what a cell is, which way is better, and what bold means."""
    what = "seeds and folds" if pivot.has_folds else "seeds"
    n = pivot.usual_n
    cells = f"Mean ± standard deviation (n {MINUS} 1) over {n} {what}" if n > 1 else "One seed a cell"
    direction = {-1: "; less is better", 0: "", 1: "; more is better"}[better(pivot.metric)]
    sentences = [f"{title(pivot.metric)}: {unit(pivot.metric)}. {cells}, unless a cell says otherwise{direction}."]
    return " ".join([*sentences, *_on_bold(pivot, what)])


def _on_bold(pivot: Pivot, what: str) -> Iterable[str]:
    if not better(pivot.metric):
        return
    if len(pivot.columns) < 2:
        yield "There is one column: nothing was compared."
    elif pivot.most_pairs < FEWEST_PAIRS:
        yield f"Nothing is bold: no two columns have {FEWEST_PAIRS} {what} in common, so that no difference was tested."
    else:
        yield (
            f"Bold: the best mean of its row, where a two-sided paired t-test over the common {what} "
            f"(at least {FEWEST_PAIRS}) tells it from every other column of the row with p < {pivot.level:g}."
        )
        if pivot.has_folds:
            yield "Folds share training examples: this says nothing of other data."
    if pivot.has_confounders:
        yield "Columns of a row that differ in more than the sampler are not compared: nothing there is bold."


def markdown(pivot: Pivot) -> str:
    """The table with its caption below, aligned so that it reads as text too."""
    shown = grid(pivot)
    texts = [[*map(_markdown_text, labels), *map(_markdown_cell, cells)] for labels, cells in shown.rows]
    header = [*shown.labels, *map(_markdown_text, shown.columns)]
    widths = [max(3, *(len(row[i]) for row in [header, *texts])) for i in range(len(header))]
    first = len(shown.labels)
    rule = ["-" * width if i < first else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    lines = [_line(row, widths, first) for row in (header, rule, *texts)]
    return "\n".join([*lines, "", _markdown_text(caption(pivot)), ""])


def _line(row: Sequence[str], widths: Sequence[int], first: int) -> str:
    cells = (f"{c:<{w}}" if i < first else f"{c:>{w}}" for i, (c, w) in enumerate(zip(row, widths, strict=True)))
    return f"| {' | '.join(cells)} |"


def _markdown_cell(cell: Shown) -> str:
    return " ".join(part for part in (f"**{cell.number}**" if cell.is_best else cell.number, cell.words) if part)


def _markdown_text(text: str) -> str:
    # A sign that no tag can begin with stays readable as text.
    return re.sub(r"([\\`*|\[\]]|<(?=[\w/!?]))", r"\\\1", text)


def latex(pivot: Pivot) -> str:
    r"""The table as a float for ``\input``; the document needs ``\usepackage{booktabs}``."""
    shown = grid(pivot)
    columns = "l" * len(shown.labels) + "r" * len(shown.columns)
    header = [*map(latex_text, shown.labels), *map(latex_text, shown.columns)]
    rows = [[*map(latex_text, labels), *map(_latex_cell, cells)] for labels, cells in shown.rows]
    return "\n".join(
        [
            r"% \usepackage{booktabs}",
            r"\begin{table}[htbp]",
            r"\centering",
            rf"\caption{{{latex_text(caption(pivot))}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            rf"{' & '.join(header)} \\",
            r"\midrule",
            *(rf"{' & '.join(row)} \\" for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def latex_text(text: str) -> str:
    r"""``text`` with what LaTeX would read as commands, and the signs we use, written so that pdflatex prints them.

    >>> latex_text("inverse_gaussian ± 5 %")
    'inverse\\_gaussian $\\pm$ 5 \\%'
    """
    return re.sub("|".join(re.escape(sign) if sign != "\\\\" else r"\\" for sign in LATEX), _latex_sign, text)


def _latex_sign(match: re.Match[str]) -> str:
    return LATEX["\\\\" if match[0] == "\\" else match[0]]


def _latex_cell(cell: Shown) -> str:
    signs = {MINUS: "-", "±": r"\pm", "∞": r"\infty", "NaN": r"\mathrm{NaN}"}
    digits = re.sub("|".join(signs), lambda match: signs[match[0]], cell.number)
    digits = re.sub(r"e(-?\d+)", r"\\cdot 10^{\1}", digits)
    number = rf"$\mathbf{{{digits}}}$" if cell.is_best else f"${digits}$"
    return " ".join(part for part in (number if cell.number else "", latex_text(cell.words)) if part)


def as_frame(pivot: Pivot) -> pd.DataFrame:
    """The table as text, a column for each of its own, ``best`` after them: what a logger of tables takes."""
    shown = grid(pivot)
    rows = [
        [*labels, *(cell.text for cell in cells), pivot.best.get(row, "")]
        for (labels, cells), row in zip(shown.rows, pivot.cells, strict=True)
    ]
    return pd.DataFrame(rows, columns=[*shown.labels, *shown.columns, "best"])
