"""The command: folders of the command line, files, printed lines, errors in one line."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from tests.support import made
from vae_hydra import report
from vae_hydra.studies.reporting import collect
from vae_hydra.studies.reporting.command import report as write

STRANGE = [
    "a b",
    "a,b",
    "[x]",
    "{y: 1}",
    "it's",
    'say "hi"',
    "naïve-β-出",
    "back\\slash",
    "end\\",
    "'",
    "\\'",
    "a:b",
    "#1",
]


@pytest.mark.parametrize("name", [*STRANGE, "${env}", "$x", "null", "1e3", "~home", "", "a\\\\'b\\"])
def test_any_folder_comes_through_hydras_grammar(name):
    *others, folders = report.with_folders([name, "level=0.1", "plain"])
    parsed = OverridesParser.create().parse_override(folders)
    assert OmegaConf.to_container(OmegaConf.create({"folders": parsed.value()}), resolve=True)["folders"] == [
        name,
        "plain",
    ]
    assert others == ["level=0.1"]


@pytest.mark.parametrize(
    "arguments",
    [[], ["--help"], ["level=0.1", "output=x"], ["--cfg", "job"], ["-c", "hydra", "-p", "hydra.run"], ["folders=[a]"]],
)
def test_arguments_that_are_no_folders_are_left_alone(arguments):
    assert report.with_folders(arguments) == arguments


def sweep(output: Path) -> None:
    for sampler, mean in (("normal", 5.0), ("lognormal", 6.0)):
        for seed in range(3):
            scores = {"reconstruct/clean/half_sse": mean + 0.01 * seed**2 * mean, "reconstruct/clean/kl": 20.0}
            made.run(output, scores, sampler=sampler, seed=seed)
    made.run(output, sampler="gamma", status="failed", error="ValueError: loss is not finite")
    made.plan(output, [("digits-none-weibull-s0-00000000", ["sampler=weibull"], None)])


def contents(folder: Path) -> dict[str, tuple[str, float]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime) for path in files}


@pytest.mark.parametrize("name", ["runs", "my runs, [2] β's"])
def test_a_partial_sweep_is_reported_and_left_as_it_is(name, run_command, tmp_path):
    sweep(tmp_path / name)
    before = contents(tmp_path / name)
    code, text = run_command(report, name, "output=out")
    assert code == 0, text
    assert contents(tmp_path / name) == before
    assert "**5.083 ± 0.104**" not in text  # gamma failed: better than all others was not found
    assert "FAILED" in text
    assert "6 done, 1 failed, 1 missing" in text
    out = tmp_path / "out"
    for file in ("results.csv", "tables.md", "report.html"):
        assert str(Path("out") / file) in text
        assert (out / file).is_file()
    with (out / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows].count("done") == 6
    assert [row["error"] for row in rows if row["status"] == "failed"] == ["ValueError: loss is not finite"]
    assert {path.name for path in (out / "tables").iterdir()} == {
        "reconstruct-clean-half_sse.tex",
        "reconstruct-clean-kl.tex",
    }
    assert {path.suffix for path in (out / "figures").iterdir()} == {".png", ".svg"}
    assert not list(out.rglob("*.tmp"))


def test_the_report_is_beside_the_runs_unless_output_is_given(run_command, tmp_path):
    folder = made.run(tmp_path / "outputs")
    assert run_command(report, "outputs")[0] == 0
    assert (tmp_path / "outputs" / "report" / "report.html").is_file()
    # Of a run: not into it.
    whole = (tmp_path / "outputs" / "report" / "results.csv").read_bytes()
    other = made.run(tmp_path / "outputs", seed=1)
    of_one, of_two = (
        run_command(report, *map(str, runs), "metrics=[reconstruct/*]") for runs in ([folder], [folder, other])
    )
    assert (of_one[0], of_two[0]) == (0, 0)
    # Nor in place of the report of all runs there.
    assert len(list((tmp_path / "outputs").glob("report-*/report.html"))) == 2
    assert (tmp_path / "outputs" / "report" / "results.csv").read_bytes() == whole
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "metrics.csv", "metrics.json", "run.json"]
    # Reporting again reads the same runs.
    assert "2 done" in run_command(report, "outputs")[1]


def test_runs_that_all_failed_are_a_report_too(run_command, tmp_path):
    made.run(tmp_path / "runs", status="failed", error="boom")
    code, text = run_command(report, "runs")
    assert (code, "1 failed" in text) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "no folder was given"),
        (["nowhere"], "nowhere is not a folder"),
        (["empty"], "there are no runs under empty"),
        (["runs", "level=2"], "level must be a number in (0, 1), but got 2"),
        (["runs", "level=high"], "level must be a number in (0, 1), but got 'high'"),
        (["runs", "metrics=[fid]"], "no run has any of fid; there are reconstruct/clean/half_sse"),
        (["runs", "metrics=fid"], "metrics must be a list of names, but got 'fid'"),
        (["runs", "output=5"], "output must be a folder, but got 5"),
        (["runs", "output=file/x"], "output=file/x cannot be written"),
        (["runs", "levle=2"], "levle"),
        (["folders=3"], "folders must be a list of folders, but got 3"),
        ([""], "folders must be a list of folders, but got ['']"),
    ],
)
def test_errors_are_one_line(arguments, expected, run_command, tmp_path):
    made.run(tmp_path / "runs")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("in the way")
    code, text = run_command(report, *arguments)
    assert code != 0
    assert expected in text
    assert "Traceback" not in text
    assert len(text.splitlines()) <= 7


def test_a_report_is_never_written_into_a_run(run_command, tmp_path):
    folder = made.run(tmp_path / "runs")
    code, text = run_command(report, "runs", f"output={folder}/report")
    assert (code, "is inside the run" in text) == (2, True)
    assert not (folder / "report").exists()


def test_a_folder_of_ones_own_files_is_no_place_for_a_report(run_command, tmp_path):
    made.run(tmp_path / "runs")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "results.csv").write_text("mine")
    code, text = run_command(report, "runs", "output=mine")
    assert code == 2
    assert "output=mine holds results.csv of no report; give another folder" in text
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["results.csv"]


def test_a_report_has_no_tables_of_an_earlier_one(run_command, tmp_path):
    made.run(tmp_path / "runs", {"reconstruct/clean/half_sse": 1.0, "reconstruct/clean/kl": 2.0})
    assert run_command(report, "runs")[0] == 0
    folder = tmp_path / "runs" / "report"
    (folder / "tables" / "notes.txt").write_text("mine")
    for own in ("figures/mine.png", "tables/mine.tex"):
        (folder / own).write_text("mine")
    assert run_command(report, "runs", "metrics=[reconstruct/clean/kl]")[0] == 0
    assert {path.name for path in (folder / "tables").iterdir()} == {
        *("reconstruct-clean-kl.tex", "notes.txt", "mine.tex")
    }
    assert {path.stem for path in (folder / "figures").iterdir()} == {"means-reconstruct-clean-kl", "mine"}


def test_metrics_that_no_run_has_are_logged(run_command, tmp_path):
    made.run(tmp_path / "runs")
    code, text = run_command(report, "runs", "metrics=[reconstruct/clean/half_sse,generation/fid]")
    assert code == 0
    assert "no run has generation/fid" in text


def test_help_says_how_without_importing_what_is_slow():
    code = (
        "import sys; sys.argv = ['report', '--help']; from vae_hydra import report\n"
        "try: report.main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'pandas', 'matplotlib', 'scipy', 'jinja2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "python -m vae_hydra.report outputs" in done.stdout
    assert done.stdout.strip().splitlines()[-1] == "[]"


@pytest.mark.parametrize(("stacked", "note"), [((2, 2, None), True), ((2, 2, 2), False), ((None,) * 3, False)])
def test_runs_trained_alone_and_in_stacks_are_told_apart(stacked, note, tmp_path):
    for seed, count in enumerate(stacked):
        path = made.run(tmp_path / "outputs", seed=seed) / "run.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | ({"stacked": count} if count else {})))
    frame = collect([tmp_path / "outputs"]).frame.sort_values("seed")
    assert [None if pd.isna(value) else value for value in frame["stacked"]] == list(stacked)
    folder = write({"folders": [str(tmp_path / "outputs")], "output": None, "metrics": ["*half_sse"], "level": 0.05})
    text = (folder / "report.html").read_text()
    assert ("2 of the 3 finished runs were trained in stacks" in text) == note
