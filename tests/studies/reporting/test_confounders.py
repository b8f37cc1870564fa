"""Options that differ together with the sampler: they are named in its column and prevent bold."""

from __future__ import annotations

import csv

import pytest

from tests.support import made
from vae_hydra.studies.reporting import as_frame, collect, figures, latex, markdown, pivot
from vae_hydra.studies.reporting.write import write_report

METRIC = "reconstruct/clean/half_sse"
BEST, WORSE = (1.0, 1.1, 1.2), (9.0, 9.4, 9.1)


def compared(output, normal, lognormal, **common):
    """Three seeds of both samplers with options of their own, normal far better; the results and their pivot."""
    for sampler, scores, options in (("normal", BEST, normal), ("lognormal", WORSE, lognormal)):
        for seed, score in enumerate(scores):
            made.run(output, score, sampler=sampler, seed=seed, **options, **common)
    results = collect([output])
    return results, pivot(results.frame, METRIC)


def test_an_option_that_differs_with_the_sampler_is_in_every_output(tmp_path):
    results, table = compared(tmp_path / "runs", {"model__latent_dim": 10}, {"model__latent_dim": 2})
    names = ["normal latent_dim=10", "lognormal latent_dim=2"]
    assert table.columns == names
    assert table.best == {}
    for text in (markdown(table), latex(table).replace(r"\_", "_")):
        assert [name for name in names if name not in text] == []
        assert "differ in more than the sampler are not compared" in text
        assert "**" not in text
        assert "mathbf" not in text
    assert list(as_frame(table).columns) == ["dataset", "noise", *names, "best"]
    page = write_report(tmp_path / "report", results, [table], [tmp_path])
    assert [name for name in names if f">{name}<" not in page.read_text()] == []
    with (tmp_path / "report" / "results.csv").open(newline="", encoding="utf-8") as file:
        assert {row["sampler_label"] for row in csv.DictReader(file)} == {*names}
    drawing = (tmp_path / "report" / "figures" / "means-reconstruct-clean-half_sse.svg").read_text()
    assert [name for name in names if f"<!-- {name} -->" not in drawing] == []
    assert set(figures.styles(results.frame)) == {*names}


@pytest.mark.parametrize(
    ("normal", "lognormal", "columns"),
    [
        ({"optimizer__lr": 1e-3}, {"optimizer__lr": 1e-4}, ["normal lr=0.001", "lognormal lr=0.0001"]),
        ({"trainer__max_epochs": 2}, {"trainer__max_epochs": 9}, ["normal max_epochs=2", "lognormal max_epochs=9"]),
        ({"dataset__fraction": 0.5}, {}, ["normal fraction=0.5", "lognormal fraction=1"]),
        (
            {"beta": {"name": "linear", "end": 1.0}},
            {"beta": {"name": "constant", "value": 1.0}},
            ["normal beta=linear", "lognormal beta=constant"],
        ),
        (
            {"model__encoder": {"depth": 2}, "model__decoder": {"depth": 3}},
            {"model__encoder": {"depth": 3}, "model__decoder": {"depth": 2}},
            ["normal decoder.depth=3 encoder.depth=2", "lognormal decoder.depth=2 encoder.depth=3"],
        ),
        ({"dataset__seed": 0}, {"dataset__seed": 1}, ["normal dataset.seed=0", "lognormal dataset.seed=1"]),
    ],
)
def test_any_option_outside_the_sampler_is_a_confounder(normal, lognormal, columns, tmp_path):
    _, table = compared(tmp_path, normal, lognormal)
    assert (table.columns, table.best) == (columns, {})


def test_options_of_a_sampler_are_no_confounders(tmp_path):
    prior = {"sampler__prior": {"_target_": "P", "df": 5.0}, "sampler__df": 5.0, "sampler__kl": "monte_carlo"}
    results, table = compared(tmp_path, {"sampler__kl": "closed"}, prior)
    assert table.columns == ["normal", "lognormal"]
    assert list(table.best.values()) == ["normal"]
    assert set(results.frame["confounders"]) == {""}


def test_differences_between_rows_do_not_prevent_a_comparison(tmp_path):
    """Of two values both samplers were trained with, a row has one; what goes with the dataset is the same in a row."""
    for rate in (1e-3, 1e-4):
        compared(tmp_path, {}, {}, optimizer__lr=rate)
    _, table = compared(tmp_path, {}, {}, dataset="mnist", model__latent_dim=3)
    assert table.columns == ["normal", "lognormal"]
    assert list(table.best.values()) == ["normal"] * 3


def test_options_that_change_places_with_the_sampler_are_seen(tmp_path):
    """The learning rate tells the runs of each sampler apart; what goes with it does so in another way in each."""
    for rate, normal, lognormal in ((1e-3, 10, 2), (1e-4, 2, 10)):
        compared(tmp_path, {"model__latent_dim": normal}, {"model__latent_dim": lognormal}, optimizer__lr=rate)
    results = collect([tmp_path])
    table = pivot(results.frame, METRIC)
    both = [{cell.confounders for cell in cells.values()} for cells in table.cells.values()]
    assert [len(found) for found in both] == [2, 2]
    assert table.best == {}


def test_a_missing_run_is_in_the_column_of_its_options(tmp_path):
    from vae_hydra.runs.identity import identifying_options, run_name

    compared(tmp_path, {"model__latent_dim": 10}, {"model__latent_dim": 2})
    config = made.config(tmp_path, sampler="lognormal", seed=7, model__latent_dim=2)
    made.plan(tmp_path, [(run_name(config), ["seed=7"], None, identifying_options(config))])
    (cells,) = pivot(collect([tmp_path]).frame, METRIC).cells.values()
    assert {name: dict(cell.others) for name, cell in cells.items()} == {
        "normal latent_dim=10": {},
        "lognormal latent_dim=2": {"missing": 1},
    }
