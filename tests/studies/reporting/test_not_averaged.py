"""Runs that one cell must not average, and plans of any length."""

from __future__ import annotations

import json

import pytest

from tests.support import made
from vae_hydra.studies.reporting.results import collect, results

CLEAN = "reconstruct/clean/half_sse"


def content(folder, digest: str | None) -> None:
    path = folder / "run.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, **({"data_digest": digest * 64} if digest else {})}))


@pytest.mark.parametrize(
    ("digests", "cells"),
    [("aaa", 1), (["a", None, "a"], 1), ("aab", 2), (["a", None, "b"], 3), ([None] * 3, 1)],
    ids=["equal", "one unknown", "two contents", "two contents and one unknown", "unknown"],
)
def test_runs_of_different_contents_of_one_file_are_rows_apart(digests, cells, tmp_path):
    for seed, digest in enumerate(digests):
        content(made.run(tmp_path, seed=seed, dataset__path="rain.csv"), digest)
    # A file of another name has its own content.
    content(made.run(tmp_path, dataset="snow", dataset__path="snow.csv"), "f")
    frame = results([tmp_path])
    assert frame[frame["dataset"] == "digits"]["options"].nunique() == cells


def test_a_run_that_is_missing_is_missing_from_the_row_of_the_others(tmp_path):
    """Its file's content is not known before it is trained."""
    folders = [made.run(tmp_path, seed=seed, dataset__path="rain.csv") for seed in (0, 1)]
    for folder in folders:
        content(folder, "a")
    options = made.config(tmp_path, seed=2, dataset__path="rain.csv")
    name = folders[0].name.replace("-s0-", "-s2-")
    made.plan(tmp_path, [(name, ["seed=2"], None, options)])
    frame = results([tmp_path])
    assert sorted(frame["status"]) == ["done", "done", "missing"]
    assert frame["options"].nunique() == 1


def test_a_run_on_the_test_set_is_not_averaged_with_runs_of_folds(tmp_path):
    made.run(tmp_path, 4.0)
    for fold in (0, 1):
        made.run(tmp_path, 5.0 + fold, dataset__fold=fold)
    frame = results([tmp_path])
    means = frame.groupby("options")[CLEAN].mean()
    assert sorted(means) == [4.0, 5.5]
    assert any("in_folds" in options for options in means.index)


def test_runs_of_folds_alone_need_no_such_option(tmp_path):
    for fold in (0, 1):
        made.run(tmp_path, 5.0 + fold, dataset__fold=fold)
    assert results([tmp_path])["options"].unique().tolist() == [""]


def test_a_plan_of_many_runs_is_read(tmp_path):
    """Each cell has some 200 values."""
    made.run(tmp_path)
    padding = {f"option_{number}": number for number in range(200)}
    cells = [
        (f"digits-none-normal-s{seed}-{seed:08x}", [f"seed={seed}"], None, made.config(tmp_path, seed=seed) | padding)
        for seed in range(1, 900)
    ]
    made.plan(tmp_path, cells)
    assert list(results([tmp_path])["status"]).count("missing") == 899


def test_a_plan_that_cannot_be_read_is_said(tmp_path, caplog):
    made.run(tmp_path)
    made.plan(tmp_path, [])
    (tmp_path / "sweeps" / "sweep" / "plan.json").write_text("{")
    collect([tmp_path])
    assert "plan.json cannot be read, so its missing runs are not reported" in caplog.text
