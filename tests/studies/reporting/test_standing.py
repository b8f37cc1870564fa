"""Runs that are not comparable with others: trained in part, or before a change of training or scores."""

from __future__ import annotations

import csv
import json

import pytest

from tests.support import made
from vae_hydra import report
from vae_hydra.runs import scoring
from vae_hydra.studies.reporting import collect, pivot
from vae_hydra.studies.reporting.write import write_report

METRIC = "reconstruct/clean/half_sse"
EXACT = {"name": "continuous_bernoulli", "_target_": "vae_hydra.model.likelihoods.ContinuousBernoulliLikelihood"}


def record(folder, **entries):
    (folder / "run.json").write_text(json.dumps({**json.loads((folder / "run.json").read_text()), **entries}))
    return folder


def aside(output):
    """Status and error of the runs that have no place in a table, and those that have one, by seed."""
    frame = collect([output]).frame
    assert frame.loc[frame["sampler_label"].isna(), METRIC].isna().all()
    ((_, _, cell),) = pivot(frame, METRIC)
    placed = {seed for seed, _ in cell.values}
    out = frame[~frame["seed"].isin(placed)]
    return {row["seed"]: (row["status"], row["error"]) for row in out.to_dict("records")}, placed


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("fast_dev_run", True),
        ("fast_dev_run", 3),
        ("limit_train_batches", 1),
        ("limit_train_batches", 0.5),
        ("limit_val_batches", 2),
        ("limit_test_batches", 1),
        ("overfit_batches", 1),
        ("overfit_batches", 0.1),
    ],
)
def test_a_run_of_a_part_of_its_batches_stands_in_no_table(option, value, tmp_path):
    made.run(tmp_path, seed=0)
    made.run(tmp_path, seed=1, **{f"trainer__{option}": value})
    found, placed = aside(tmp_path)
    assert placed == {0}
    assert found[1][0] == "partial"
    assert f"trainer.{option}={str(value).lower()}" in found[1][1]
    # Nor does it give the others' rows a name.
    assert collect([tmp_path]).keys == []


@pytest.mark.parametrize(
    "whole",
    [
        {"limit_train_batches": 1.0, "limit_val_batches": None, "overfit_batches": 0.0, "fast_dev_run": False},
        {"overfit_batches": 0, "fast_dev_run": None},
    ],
)
def test_limits_without_effect_are_ignored(whole, tmp_path):
    for seed in (0, 1):
        made.run(tmp_path, seed=seed, trainer=whole)
    assert aside(tmp_path) == ({}, {0, 1})


def test_the_record_of_a_run_counts_too(tmp_path):
    made.run(tmp_path, seed=0)
    record(made.run(tmp_path, seed=1), partial="trainer.limit_train_batches=1")
    found, placed = aside(tmp_path)
    assert (placed, found[1][0]) == ({0}, "partial")
    assert "(trainer.limit_train_batches=1)" in found[1][1]


def test_old_runs_of_a_likelihood_that_was_mended_are_not_mixed_with_new_ones(tmp_path):
    for seed in (0, 1):
        record(made.run(tmp_path, 1.0, seed=seed, likelihood=EXACT), scores_version=2)
    old = made.run(tmp_path, 900.0, seed=2, likelihood=EXACT)
    # Scored again it was trained by the old density all the same.
    (old / "evaluations").mkdir()
    (old / "evaluations" / "best-test.json").write_text(json.dumps({"checkpoint": "best", "scores": {"x/y": 1.0}}))
    found, placed = aside(tmp_path)
    assert (placed, found[2][0]) == ({0, 1}, "outdated")
    assert "continuous Bernoulli" in found[2][1]
    assert "train it again" in found[2][1]
    assert "x/y" not in collect([tmp_path]).frame.columns


def test_a_new_run_stands_before_an_old_one_of_the_same_configuration(tmp_path):
    made.run(tmp_path / "old", {METRIC: 900.0, "x/y": 1.0}, likelihood=EXACT)
    new = record(made.run(tmp_path / "new", 1.0, likelihood=EXACT), scores_version=2)
    assert [run.path for run in collect([tmp_path]).runs] == [new]


def test_runs_of_other_likelihoods_stay_comparable(tmp_path):
    for seed, version in ((0, None), (1, 2)):
        record(made.run(tmp_path, seed=seed, likelihood={"name": "bernoulli"}), scores_version=version)
    assert aside(tmp_path) == ({}, {0, 1})


def test_the_next_change_is_one_entry(monkeypatch):
    change = scoring.Change(lambda config: config["dataset"]["name"] == "digits", "because")
    monkeypatch.setattr(scoring, "CHANGES", {3: change})
    digits, mnist = ({"dataset": {"name": name}} for name in ("digits", "mnist"))
    assert [scoring.outdated(config, {scoring.KEY: 2}) for config in (digits, mnist)] == ["because", None]
    assert scoring.outdated(digits, {scoring.KEY: 3}) is None


@pytest.mark.parametrize(
    ("record", "goes_on", "version"),
    [({}, False, scoring.CURRENT), ({"status": "failed"}, True, 1), ({scoring.KEY: 2}, True, 2), ({}, True, 1)],
)
def test_a_run_that_goes_on_keeps_the_version_it_began_with(record, goes_on, version):
    assert scoring.version_of(record, goes_on) == version


def test_training_records_the_version(tmp_path):
    from vae_hydra.runs.folder import Run

    run = Run(tmp_path / "run")
    with run.writing({"seed": 0}):
        pass
    assert run.record[scoring.KEY] == scoring.CURRENT
    record(run.folder, **{scoring.KEY: None})
    (run.folder / "last.ckpt").write_bytes(b"")
    with run.writing({"seed": 0}):
        pass
    assert run.record[scoring.KEY] == 1


def test_they_are_listed_with_their_reason(run_command, tmp_path):
    made.run(tmp_path / "runs", seed=0)
    made.run(tmp_path / "runs", seed=1, trainer__fast_dev_run=True)
    made.run(tmp_path / "runs", seed=2, likelihood=EXACT)
    code, text = run_command(report, "runs")
    assert (code, "1 done, 1 partial, 1 outdated" in text) == (0, True)
    page = (tmp_path / "runs" / "report" / "report.html").read_text()
    for said in (text, page):
        assert "trainer.fast_dev_run=true" in said
        assert "density was exact" in said


def test_no_cell_of_the_table_of_results_is_a_formula(tmp_path):
    errors = ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "a=b"]
    for seed, error in enumerate(errors):
        made.run(tmp_path, status="failed", error=error, seed=seed)
    folder = made.run(tmp_path, {METRIC: -1.5, "=x/y": 1.0}, seed=9)
    found = collect([tmp_path])
    write_report(tmp_path / "report", found, [pivot(found.frame, METRIC)], [tmp_path])
    with (tmp_path / "report" / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["seed"]: row for row in csv.DictReader(file)}
    assert [rows[str(seed)]["error"] for seed in range(len(errors))] == [*(f"'{e}" for e in errors[:5]), "'\n=1", "a=b"]
    assert (rows["9"][METRIC], rows["9"]["'=x/y"], rows["9"]["run"]) == ("-1.5", "1.0", folder.name)


@pytest.mark.parametrize(
    ("config", "concerned"),
    [
        ({"likelihood": EXACT}, True),
        ({"likelihood": {"_target_": "vae_hydra.model.likelihoods.BernoulliLikelihood"}}, False),
        ({"classifier": {"labelled": 0.01}}, True),
        ({"classifier": {"labelled": 1.0}}, False),
        ({"classifier": {}}, False),
        ({"beta": {"duration": 20, "unit": "epoch"}, "trainer": {"max_epochs": 20}}, True),
        ({"beta": {"duration": 20, "unit": "epoch"}, "trainer": {"max_epochs": 21}}, False),
        ({"beta": {"duration": 20, "unit": "epoch", "rise": 0.5}, "trainer": {"max_epochs": 45}}, True),
        ({"beta": {"duration": 20, "unit": "epoch", "rise": 0.5}, "trainer": {"max_epochs": 60}}, False),
        ({"beta": {"value": 1.0}, "trainer": {"max_epochs": 20}}, False),
        ({"dataset": {"name": "inverse_gaussian_2d"}}, True),
        ({"dataset": {"name": "lognormal_2d"}}, False),
        ({}, False),
    ],
)
def test_runs_that_changes_concern(config, concerned):
    assert (scoring.outdated(config, {}) is not None) == concerned
    assert scoring.outdated(config, {scoring.KEY: scoring.CURRENT}) is None
