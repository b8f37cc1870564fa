"""Pivots in writing: digits, words, Markdown, LaTeX that compiles."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from tests.support.cells import METRIC, drawn, frame
from vae_hydra.studies.reporting import as_frame, latex, markdown, pivot
from vae_hydra.studies.reporting.tables import caption, grid, latex_text


def with_moments(mean, spread, n=3):
    """n values with just this mean and standard deviation."""
    values = np.arange(n) - (n - 1) / 2
    return (mean + spread * values / values.std(ddof=1)).tolist()


@pytest.mark.parametrize(
    ("cells", "written"),
    [
        # As docs/results.md has it.
        (
            [with_moments(5.729, 0.006), with_moments(5.970, 0.007), with_moments(6.290, 0.025)],
            ["5.729 ± 0.006", "5.970 ± 0.007", "6.290 ± 0.025"],
        ),
        ([with_moments(-160.15, 0.46), with_moments(-222.7, 17.3)], ["−160.2 ± 0.5", "−222.7 ± 17.3"]),
        ([with_moments(0.0141, 0.0002), with_moments(0.05, 0.001)], ["0.0141 ± 0.0002", "0.0500 ± 0.0010"]),
        ([with_moments(123456, 1200), with_moments(1000, 100)], ["123456 ± 1200", "1000 ± 100"]),
        ([with_moments(2.5e-6, 1e-7), with_moments(3e-6, 1e-7)], ["2.50e−6 ± 1.00e−7", "3.00e−6 ± 1.00e−7"]),
        ([with_moments(1.0, 0.0), with_moments(2.0, 0.0)], ["1.000 ± 0.000", "2.000 ± 0.000"]),
        ([[np.inf, 1.0, 2.0], [1.0, 2.0, 3.0]], ["∞", "2.0 ± 1.0"]),
        ([with_moments(-0.001, 0.3), with_moments(1, 0.3)], ["0.00 ± 0.30", "1.00 ± 0.30"]),
        ([[5.7294], [22.81]], ["5.73 (n = 1)", "22.81 (n = 1)"]),
    ],
)
def test_digits_are_those_that_the_spread_warrants(cells, written):
    ((_, shown),) = grid(pivot(frame([cells]), METRIC)).rows
    assert [cell.text for cell in shown] == written


@pytest.mark.parametrize(
    ("statuses", "written"),
    [
        (["done", "done", "done"], "2.0 ± 1.0"),
        (["done", "done", "missing"], "1.5 ± 0.7 (2 of 3)"),
        (["failed", "failed", "failed"], "FAILED"),
        (["missing", "missing", "missing"], "missing"),
        (["running", "missing", "missing"], "running"),
        (["failed", "running", "missing"], "FAILED"),
        (["interrupted"] * 3, "interrupted"),
        (["damaged"] * 3, "damaged"),
    ],
)
def test_a_cell_shows_the_status_of_runs_without_a_value(statuses, written):
    runs = frame([[[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]])
    runs.loc[:2, "status"] = statuses
    table = pivot(runs, METRIC)
    assert grid(table).rows[0][1][0].text == written
    assert f"| {written} |" in re.sub(" +", " ", markdown(table))
    assert as_frame(table)["s0"][0] == written


def test_an_unusual_number_of_replicates_is_shown():
    runs = pd.concat([frame(drawn(2, [0.0, 1.0], 3)), frame(drawn(3, [0.0, 1.0], 1))[-2:]], ignore_index=True)
    texts = [cell.text for _, cells in grid(pivot(runs, METRIC)).rows for cell in cells]
    assert ["(n = 1)" in text for text in texts] == [False] * 4 + [True] * 2


@pytest.mark.parametrize(
    ("values", "metric", "parts"),
    [
        (
            drawn(1, [0, 9], 3),
            METRIC,
            ["½·Σ(x̂ − x)² per example", "over 3 seeds", "less is better", "Bold:", "p < 0.05"],
        ),
        (drawn(1, [0, 9], 2), METRIC, ["over 2 seeds", "Nothing is bold", "no difference was tested"]),
        (drawn(1, [0, 9], 1), METRIC, ["One seed a cell", "no difference was tested"]),
        (drawn(1, [0], 3), METRIC, ["nothing was compared"]),
        (drawn(1, [0, 9], 3), "reconstruct/clean/elbo", ["more is better"]),
    ],
)
def test_the_caption_explains_the_cells_and_bold(values, metric, parts):
    text = caption(pivot(frame(values, metric), metric))
    assert [part for part in parts if part not in text] == []


def test_folds_are_named_and_warned_of():
    text = caption(pivot(frame(drawn(1, [0, 9], 3), folds=True), METRIC))
    assert "over 3 seeds and folds" in text
    assert "says nothing of other data" in text


def test_a_caption_of_a_kl_says_nothing_of_better_or_bold():
    text = caption(pivot(frame(drawn(1, [0, 9], 3), "reconstruct/clean/kl"), "reconstruct/clean/kl"))
    assert "better" not in text
    assert "bold" not in text.lower()


def test_markdown_is_a_table_with_the_best_in_bold():
    lines = markdown(pivot(frame([[with_moments(1.0, 0.1), [8.8, 9.1, 9.0]]]), METRIC)).splitlines()
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == ["dataset", "noise", "s0", "s1"]
    assert lines[1].count("-:") == 2
    assert "**1.00 ± 0.10**" in lines[2]
    assert len({len(line) for line in lines[:3]}) == 1


def strange(values) -> pd.DataFrame:
    names = {"s0": "normal_50%", "s1": r"a\b{c}$d#&~^<e>|*`"}
    runs = frame(values)
    return runs.assign(sampler_label=runs["sampler"].map(names), options="beta.value=0.1, x=[1, 2]")


def test_markdown_keeps_strange_names_from_breaking_the_table():
    lines = markdown(pivot(strange([[[1.0], [2.0]]]), METRIC)).splitlines()
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines[:3]}) == 1
    assert r"\<e>" in lines[0]


def test_latex_escapes_what_it_would_read_as_commands():
    text = latex(pivot(strange([[with_moments(-1.0, 0.1), [8.8, 9.1, 9.0]]]), METRIC))
    assert r"normal\_50\%" in text
    assert r"$\mathbf{-1.00 \pm 0.10}$" in text
    assert text.isascii()
    # Nothing but what is escaped begins a comment, but for the line that says what to load.
    assert [line for line in text.splitlines()[1:] if re.search(r"(?<!\\)%", line)] == []
    assert latex_text("100 % of a_b & ± −3") == r"100 \% of a\_b \& $\pm$ $-$3"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex")
def test_latex_compiles_as_it_is(tmp_path):
    values = [[with_moments(-1.0, 0.1), [8.8, 9.1, 9.0]], [with_moments(2e-7, 1e-8), [np.inf, 1.0, np.nan]]]
    metrics = [METRIC, "reconstruct/clean/elbo", "reconstruct/clean/kl", "marginal/nll", "denoise/own/psnr"]
    main = [r"\documentclass{article}", r"\usepackage{booktabs}", r"\begin{document}"]
    for number, metric in enumerate(metrics):
        runs = strange(values).rename(columns={METRIC: metric.replace("own", "normal")}).assign(noise="normal")
        (tmp_path / f"{number}.tex").write_text(latex(pivot(runs, metric)), encoding="utf-8")
        main.append(rf"\input{{{number}.tex}}")
    (tmp_path / "main.tex").write_text("\n".join([*main, r"\end{document}"]))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
