"""The table of runs to choose from, and two runs side by side, without a browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.explored import untrained
from vae_hydra import explore
from vae_hydra.drawing.page import app
from vae_hydra.drawing.page.catalogue import MOST_OPEN, Catalogue, varied
from vae_hydra.runs.reading import RunFolder

SCORED = {"reconstruct/clean/half_sse": 1.25, "reconstruct/clean/elbo": -20.0}


def run(name: str, status: str = "done", **leaves) -> RunFolder:
    options = {"dataset.name": "digits", "noise.name": "none", **leaves}
    return RunFolder(Path("outputs") / name, {"status": status}, {}, options, SCORED if status == "done" else {})


RUNS = [
    run("one", **{"sampler.name": "normal", "sampler.df": None, "seed": 0}),
    run("two", **{"sampler.name": "student_t", "sampler.df": 5.0, "seed": 0}),
    run("three <b>", **{"sampler.name": "student_t", "sampler.df": 5.0, "seed": 1}),
    run("four", "failed", **{"sampler.name": "normal", "sampler.df": None, "seed": 1}),
]


@pytest.fixture
def catalogue(configure):
    model = untrained(configure)
    opened = []

    def open_model(path):
        opened.append(path.name)
        return model

    made = Catalogue(open_model, RUNS)
    made.opened = opened
    return made


def test_columns_are_the_options_that_differ():
    assert varied([one.leaves for one in RUNS]) == ["sampler.name", "seed"]
    dfs = [{"sampler.name": "student_t", "sampler.df": df} for df in (3, 5)]
    assert varied(dfs) == ["sampler.df"]
    # Within a family too.
    assert varied([*dfs, {"sampler.name": "normal"}]) == ["sampler.name", "sampler.df"]


def test_finished_runs_have_links_and_others_their_status(catalogue):
    table = catalogue.table([])
    assert table.count("class='open'") == 3
    assert "href='?run=three+%3Cb%3E'" in table
    assert "<td>failed</td>" in table
    assert "<th>sampler</th><th>seed</th>" in table
    assert table.count("<td class='number'>1.25</td>") == 3
    assert "beside" not in table
    shown = catalogue.table(["one"])
    assert "href='?run=one&amp;against=two'" in shown
    assert shown.count("class='beside'") == 2


def test_an_address_opens_finished_runs_alone(catalogue):
    assert catalogue.named({}) == []
    assert catalogue.named({"run": [b"one"], "against": [b"two"]}) == ["one", "two"]
    assert catalogue.named({"run": [b"../../etc"], "against": [b"four"]}) == []
    assert catalogue.named({"run": [b"\xff"]}) == []
    assert catalogue.named({"run": [b"one"], "against": [b"one"]}) == ["one"]


def test_models_are_opened_once_and_not_all_kept(catalogue):
    assert catalogue.model("one") is catalogue.model("one")
    assert catalogue.opened == ["one"]
    catalogue.models |= {str(number): None for number in range(MOST_OPEN)}
    catalogue.model("two")
    assert len(catalogue.models) == MOST_OPEN


def test_two_runs_show_one_example(catalogue, configure):
    models = {"one": untrained(configure), "two": untrained(configure, "sampler=lognormal")}
    left, right = app._views(models)
    left.example.label.value = 3
    left.example.number.value = 2
    left.example.noise.value = "uniform"
    assert right.example.number.value == 2
    assert right.example.about.object.splitlines()[0].startswith("<p>test example")
    assert left.example.trip.original.equal(right.example.trip.original)
    assert left.example.trip.fed.equal(right.example.trip.fed)
    left.tabs.active = 1
    assert right.tabs.active == 1
    assert "class='mark'" in right.around[0].picture.object


def test_runs_of_other_data_are_not_shown_side_by_side(configure):
    models = {"one": untrained(configure), "two": untrained(configure, "dataset=lognormal_2d")}
    with pytest.raises(ValueError, match="one and two have other test examples"):
        app._views(models)


def test_a_page_without_a_chosen_run_is_the_table(catalogue):
    table = app.page(catalogue, [])[0]
    assert "<details open>" in table.object
    shown = app.page(catalogue, ["one"])
    assert "<details>" in shown[0].object
    assert len(shown) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["run=nowhere", "against=elsewhere"], "run=nowhere is not a run")],
)
def test_what_cannot_be_compared_is_said(arguments, message, run_command):
    code, text = run_command(explore, "port=0", *arguments)
    assert code == 2
    assert message in text


def test_two_runs_of_one_name_are_not_one_run(run_command, tmp_path):
    for folder in (tmp_path / "here" / "run", tmp_path / "there" / "run"):
        folder.mkdir(parents=True)
        (folder / "run.json").write_text('{"status": "done"}', encoding="utf-8")
    code, text = run_command(explore, "port=0", "run=here/run", "against=there/run")
    assert code == 2
    assert "against=there/run has the same name as run=here/run" in text
