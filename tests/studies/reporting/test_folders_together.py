"""Folders with different plans, copies and test noises: missing runs, kept copies and names of noises."""

from __future__ import annotations

import itertools
import json
import shutil

import pandas as pd

from tests.support import made
from tests.support.made import evaluation
from vae_hydra.runs.identity import identifying_options, run_name
from vae_hydra.studies.reporting import collect, pivot, results
from vae_hydra.studies.reporting.write import write_report

METRIC = "reconstruct/clean/half_sse"
DENOISED = "denoise/normal/half_sse"
STRONG = "denoise/normal distribution.scale=3/half_sse"


def noise(scale):
    return {"name": "normal", "distribution": {"scale": scale}}


def measured(frame):
    return {name: list(frame[name].dropna()) for name in frame.columns if name.startswith("denoise/")}


def test_scores_under_other_parameters_of_a_noise_are_in_columns_of_their_own(tmp_path):
    for seed, scale in enumerate((1.0, 1, 3.0)):
        made.run(tmp_path, {DENOISED: float(seed)}, seed=seed, test_noises={"normal": noise(scale)})
    frame = results([tmp_path])
    assert measured(frame) == {DENOISED: [0.0, 1.0], STRONG: [2.0]}
    ((_, _, cell),) = pivot(frame, DENOISED)
    assert list(cell.values.values()) == [0.0, 1.0]


def test_a_noise_of_an_evaluation_has_a_name_of_its_own(tmp_path):
    for seed in (0, 1):
        folder = made.run(tmp_path, {DENOISED: 1.0}, seed=seed, test_noises={"normal": noise(1.0)})
    evaluation(folder, "best-test-normal", {DENOISED: 4.0}, noise=noise(3.0))
    evaluation(folder, "best-test-noises", {DENOISED: 5.0}, noises={"normal": noise(9.0)})
    weak = "denoise/normal distribution.scale=9/half_sse"
    assert measured(results([tmp_path])) == {DENOISED: [1.0, 1.0], STRONG: [4.0], weak: [5.0]}


def test_a_runs_own_noise_is_found_under_its_name(tmp_path):
    for seed in (0, 1):
        made.run(tmp_path, {DENOISED: 1.0}, seed=seed, test_noises={"normal": noise(1.0)})
    made.run(tmp_path, {DENOISED: 7.0}, noise="normal", noise__distribution={"scale": 3.0})
    frame = results([tmp_path])
    assert measured(frame) == {DENOISED: [1.0, 1.0], STRONG: [7.0]}
    assert [cell.mean for _, _, cell in pivot(frame, "denoise/own/half_sse")] == [7.0]


def test_noises_of_testing_that_cannot_be_read_leave_the_scores(tmp_path):
    made.run(tmp_path, {DENOISED: 1.0}, test_noises=["normal"])
    assert measured(results([tmp_path])) == {DENOISED: [1.0]}


def test_an_option_value_without_runs_has_its_own_cell(tmp_path):
    made.run(tmp_path, optimizer__lr=1e-3)
    config = made.config(tmp_path, optimizer__lr=1e-4)
    made.plan(tmp_path, [(run_name(config), ["optimizer.lr=1e-4"], None, identifying_options(config))])
    table = pivot(results([tmp_path]), METRIC)
    assert {row.options: (cell.n, dict(cell.others)) for row, _, cell in table} == {
        "optimizer.lr=0.001": (1, {}),
        "optimizer.lr=0.0001": (0, {"missing": 1}),
    }


def test_a_run_in_another_folder_is_not_missing(tmp_path):
    there = made.run(tmp_path / "first")
    absent = run_name(made.config(tmp_path, seed=1))
    for place in ("first", "second"):
        made.plan(tmp_path / place, [(there.name, ["seed=0"], None), (absent, ["seed=1"], None)])
    found = collect([tmp_path / "first", tmp_path / "second"])
    assert [cell.name for cell in found.planned] == [absent]


def test_copies_of_one_training_share_their_scores_in_any_order(tmp_path):
    folder = made.run(tmp_path / "a", {METRIC: 1.0}, seed=0)
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, "id": "abcd"}))
    copies = [shutil.copytree(folder, tmp_path / place / folder.name) for place in ("b", "c")]
    evaluation(copies[0], "best-test-nll", {"marginal/nll": 9.0})
    (copies[1] / "metrics.json").write_text(json.dumps({METRIC: 1.0, DENOISED: 2.0, "denoise/normal/kl": 3.0}))
    other = made.run(tmp_path / "d", {METRIC: 5.0})
    (other / "run.json").write_text(json.dumps({**record, "id": "other"}))
    frames = [results(tmp_path / place for place in places) for places in itertools.permutations("abcd")]
    for frame in frames:
        pd.testing.assert_frame_equal(frame, frames[0])
    (row,) = frames[0].to_dict("records")
    assert (row[METRIC], row["marginal/nll"], row[DENOISED]) == (1.0, 9.0, 2.0)
    assert row["folder"] == str(copies[1])


def test_the_latest_plan_counts_whatever_its_folder_is_called(tmp_path):
    made.run(tmp_path)
    for name, started, run in (("a", "2026-02-01T00:00:00Z", "new"), ("b", "2026-01-01T00:00:00Z", "old")):
        made.plan(tmp_path, [(run, ["seed=1"], None)], name=name, started=started)
    assert [cell.name for cell in collect([tmp_path]).planned] == ["new"]


def test_names_with_dollars_are_shown_as_they_are(tmp_path):
    for beta in (0.01, 1.0):
        config = made.run(tmp_path, beta__value=beta, sampler="stranger") / "config.yaml"
        config.write_text(config.read_text().replace("name: stranger", "name: $\\bad$"))
    found = collect([tmp_path])
    write_report(tmp_path / "report", found, [pivot(found.frame, METRIC)], [tmp_path])
    drawn = {path.name for path in (tmp_path / "report" / "figures").glob("*.svg")}
    assert drawn == {"means-reconstruct-clean-half_sse.svg", "beta-reconstruct-clean-half_sse.svg"}
    text = (tmp_path / "report" / "figures" / "beta-reconstruct-clean-half_sse.svg").read_text()
    assert "$\\bad$" in text
    assert "mathdefault" not in text
