"""Tables of one's own: columns, missing values, splits, windows, scales, and rows that are written back."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from tests.support.composing import QUICK
from tests.support.device import OPENED_ON
from vae_hydra import evaluate as evaluate_command
from vae_hydra import generate as generate_command
from vae_hydra import train as train_command
from vae_hydra.data.datamodule import DataModule
from vae_hydra.data.sources.table import load_table
from vae_hydra.data.table_rows import rows_of_table
from vae_hydra.drawing.plots import clouds
from vae_hydra.runs.folder import Run
from vae_hydra.runs.stack import train_together
from vae_hydra.runs.train import train
from vae_hydra.studies.reporting.results import results

ROWS = 200


def frame(rows: int = ROWS) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "day": [f"2020-{row:04d}" for row in generator.permutation(rows)],
            "rain": generator.pareto(2.5, rows) + 1,
            "wind": 3 * generator.normal(size=rows) + 10,
            "count": generator.integers(0, 50, rows),
            "kind": generator.choice(["wet", "dry"], rows),
        }
    )


@pytest.fixture
def table(tmp_path):
    """A CSV file of ``frame``, or of another one: table(frame) → its path."""

    def write(content: pd.DataFrame | None = None, name: str = "rain.csv") -> str:
        path = tmp_path / name
        (frame() if content is None else content).to_csv(path, index=False)
        return str(path)

    return write


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npy", "npz"])
def test_every_format_gives_the_same_rows(suffix, tmp_path):
    rows = frame()[["rain", "wind"]].rename(columns={"rain": "x0", "wind": "x1"}).astype(np.float32)
    labels = np.arange(ROWS) % 3
    path = tmp_path / f"rows.{suffix}"
    if suffix == "csv":
        rows.assign(y=labels).to_csv(path, index=False)
    elif suffix == "parquet":
        rows.assign(y=labels).to_parquet(path)
    elif suffix == "npz":
        np.savez(path, x=rows.to_numpy(), y=labels)
    else:
        np.save(path, rows.to_numpy())
    source = load_table(str(path), label=None if suffix == "npy" else "y")
    assert source.table.columns == ["x0", "x1"]
    assert source.table.classes == ([] if suffix == "npy" else ["0", "1", "2"])
    assert (len(source.train), len(source.test)) == (160, 40)
    everything = torch.cat([source.train.x, source.test.x])
    expected = torch.tensor(rows.to_numpy())
    torch.testing.assert_close(everything.sort(0).values, expected.sort(0).values)


def test_columns_are_those_of_numbers_and_labels_are_counted(table):
    source = load_table(table(), label="kind")
    assert source.table.columns == ["rain", "wind", "count"]
    assert source.table.classes == ["dry", "wet"]
    counts = torch.cat([source.train.y, source.test.y]).bincount().tolist()
    assert counts == frame()["kind"].value_counts()[["dry", "wet"]].tolist()


@pytest.mark.parametrize(
    ("options", "columns"),
    [
        ({"columns": ["wind", "rain"]}, ["wind", "rain"]),
        ({"exclude": ["count"]}, ["rain", "wind"]),
        ({"columns": ["wind", "rain"], "exclude": ["rain"]}, ["wind"]),
        ({"label": "count"}, ["rain", "wind"]),
        ({"order_by": "count"}, ["rain", "wind"]),
    ],
)
def test_columns_are_chosen_and_left_out(options, columns, table):
    assert load_table(table(), **options).table.columns == columns


def test_the_last_rows_in_time_are_the_test_part_and_those_before_them_validation(table):
    content = frame()
    source = load_table(table(content), split="time", order_by="day", columns=["rain"])
    rain = torch.from_numpy(content.sort_values("day")["rain"].to_numpy(np.float32)).unsqueeze(1)
    torch.testing.assert_close(source.train.x, rain[:160])
    torch.testing.assert_close(source.test.x, rain[160:])
    data = DataModule(source, 16, validation=0.25)
    torch.testing.assert_close(data.splits["train"].x, rain[:120])
    torch.testing.assert_close(data.splits["validation"].x, rain[120:160])


def test_windows_hold_consecutive_rows_and_share_none_between_parts(table):
    content = pd.DataFrame({"step": np.arange(100.0), "other": np.arange(100.0) + 0.5})
    data = DataModule(load_table(table(content), split="time", window=5), 16, validation=0.25)
    assert data.x_shape == (10,)
    torch.testing.assert_close(data.splits["train"].x[0], torch.arange(10.0) / 2)
    seen = {name: set(part.x[:, ::2].unique().tolist()) for name, part in data.splits.items()}
    assert seen["train"].isdisjoint(seen["validation"])
    assert (seen["train"] | seen["validation"]).isdisjoint(seen["test"])
    assert max(seen["train"]) < min(seen["validation"]) < min(seen["test"])
    assert {name: len(part) for name, part in data.splits.items()} == {"train": 53, "validation": 19, "test": 16}


def test_a_column_says_where_each_row_belongs(table):
    content = frame().assign(part=["train"] * 100 + ["test"] * 60 + ["validation"] * 40)
    data = DataModule(load_table(table(content), split="part"), 16)
    assert {name: len(part) for name, part in data.splits.items()} == {"train": 100, "validation": 40, "test": 60}
    two = frame().assign(part=["train"] * 100 + ["test"] * 100)
    data = DataModule(load_table(table(two), split="part"), 16, validation=0.2)
    assert {name: len(part) for name, part in data.splits.items()} == {"train": 80, "validation": 20, "test": 100}


def test_rows_that_lack_values_are_refused_or_dropped(table):
    content = frame()
    content.loc[[3, 50], "rain"] = np.nan
    content.loc[7, "wind"] = np.inf
    with pytest.raises(ValueError, match=r"missing or infinite values in rain \(2\), wind \(1\); use dataset.missing"):
        load_table(table(content))
    source = load_table(table(content), missing="drop")
    assert len(source.train) + len(source.test) == ROWS - 3
    assert source.train.x.isfinite().all()
    windows = load_table(table(content), missing="drop", split="time", window=4)
    # Each missing row spoils the four windows around it, at the start fewer.
    assert len(windows.train) == 157 - 4 - 4 - 4
    assert windows.train.x.isfinite().all()


def test_windows_of_a_column_s_parts_are_of_neighbours_and_share_no_row(table):
    """Parts that alternate: no window spans the rows of another part, and validation is apart from training."""
    parts = ["train"] * 60 + ["test"] * 20 + ["train"] * 100 + ["test"] * 20
    content = frame().assign(row=np.arange(ROWS, dtype=float), part=parts)
    source = load_table(table(content), columns=["row"], split="part", window=5)
    assert (source.train.x.diff(dim=1) == 1).all()
    assert len(source.train) == 56 + 96
    assert len(source.test) == 16 + 16
    data = DataModule(source, 16, validation=0.2)
    rows = {name: set(part.x.flatten().tolist()) for name, part in data.splits.items()}
    assert not rows["train"] & rows["validation"]
    assert not (rows["train"] | rows["validation"]) & rows["test"]


@pytest.mark.parametrize("scaling", ["standard", "robust"])
@pytest.mark.parametrize("window", [1, 3])
def test_columns_are_scaled_by_the_training_part_alone_and_back(scaling, window, table):
    options = {"split": "time", "window": window, "columns": ["rain", "wind"]}
    data = DataModule(load_table(table(), **options), 16, scaling=scaling)
    plain = DataModule(load_table(table(), **options), 16)
    rows = plain.splits["train"].x.reshape(-1, 2).double()
    prepared = data.prepared("train").x
    if scaling == "standard":
        expected = (rows - rows.mean(0)) / rows.std(0, correction=0)
    else:
        quartiles = rows.quantile(torch.tensor([0.25, 0.5, 0.75]).double(), 0)
        expected = (rows - quartiles[1]) / (quartiles[2] - quartiles[0]) * 1.3489795
    torch.testing.assert_close(prepared.reshape(-1, 2).double(), expected, rtol=1e-4, atol=1e-4)
    test = data.prepared("test").x
    torch.testing.assert_close(data.restore(test), plain.splits["test"].x, rtol=1e-4, atol=1e-4)
    low, high = data.full_range()
    everything = torch.cat([data.prepared(split).x for split in ("train", "validation", "test")])
    assert (low, high) == pytest.approx((everything.min().item(), everything.max().item()))
    assert not data.is_binary


def test_the_slope_of_a_scale_is_that_of_its_inverse(table):
    """p(values) = p(prepared)·|d prepared / d value|, here by differences."""
    data = DataModule(load_table(table(), columns=["rain"]), 16, scaling="robust", transform="log1p")
    stored, step = torch.tensor([[1.5], [4.0]]), 1e-3
    slope = (data.prepare(stored + step) - data.prepare(stored - step)) / (2 * step)
    torch.testing.assert_close(data.log_slope(data.prepare(stored)), slope.log(), rtol=1e-3, atol=1e-3)


def test_rows_are_written_back_in_their_own_units_and_names(table):
    options = {"label": "kind", "split": "time", "window": 2, "columns": ["rain", "count"]}
    data = DataModule(load_table(table(), **options), 16, scaling="standard", transform="log1p")
    test = data.prepared("test")
    described = json.loads(json.dumps(data.describe_table()))
    rows = rows_of_table(test.x, test.y, described)
    assert list(rows.columns) == ["rain[0]", "count[0]", "rain[1]", "count[1]", "kind"]
    expected = frame()[-40:].reset_index(drop=True)
    np.testing.assert_allclose(rows["rain[0]"], expected["rain"][:-1], rtol=1e-4)
    np.testing.assert_allclose(rows["count[1]"], expected["count"][1:], rtol=1e-4)
    assert rows["kind"].tolist() == expected["kind"][1:].tolist()
    assert "kind" not in rows_of_table(test.x, None, described)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": None}, "dataset=table needs a file: dataset.path=FILE"),
        ({"path": "rain.xlsx"}, "dataset.path must end with .csv, .parquet, .npy, .npz"),
        ({"path": "nowhere.csv"}, "dataset.path=nowhere.csv: there is no file"),
        ({"columns": ["rian"]}, "dataset.columns: the table has no column 'rian'; its columns are day, rain, wind"),
        ({"columns": "rain"}, "dataset.columns must be a list of columns, but got 'rain'"),
        ({"columns": ["kind"]}, "dataset.columns: kind hold no numbers"),
        ({"exclude": ["rain", "wind", "count"]}, "the table has no column of numbers left"),
        ({"label": "rain"}, "dataset.label: column 'rain' has 200 values, which are no classes"),
        ({"label": "sort"}, "dataset.label: the table has no column 'sort'"),
        ({"missing": "impute"}, "dataset.missing must be one of refuse, drop"),
        ({"window": 5}, "dataset.window=5 needs dataset.split=time or a column"),
        ({"window": 0}, "dataset.window must be an integer ≥ 1"),
        ({"window": 500, "split": "time"}, "leaves nothing for train"),
        ({"split": "kind"}, "dataset.split: column 'kind' must hold train, validation, test, but it holds dry, wet"),
        ({"split": "year"}, "dataset.split: the table has no column 'year'"),
        ({"test": 0.0}, "dataset.test must be a number in"),
        ({"order_by": "hour"}, "dataset.order_by: the table has no column 'hour'"),
    ],
)
def test_what_cannot_be_is_refused(options, message, table):
    with pytest.raises(ValueError, match=message):
        load_table(**{"path": table(), **options})


def test_files_that_are_no_tables_are_refused(tmp_path):
    (tmp_path / "short.npy").write_text("no array")
    np.save(tmp_path / "cube.npy", np.zeros((2, 2, 2)))
    np.savez(tmp_path / "other.npz", z=np.zeros(3))
    (tmp_path / "empty.csv").write_text("a,b\n")
    for name, message in (
        ("short.npy", "cannot be read as a table"),
        ("cube.npy", r"rows \[N, D\] are expected, but got an array of shape \[2, 2, 2\]"),
        ("other.npz", "it holds z, but rows are expected as x"),
        ("empty.csv", "has no rows"),
    ):
        with pytest.raises(ValueError, match=message):
            load_table(str(tmp_path / name))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scaling": "minmax"}, "dataset.scaling must be one of none, standard, robust"),
        ({"scaling": "standard", "fold": 1}, "dataset.fold divides examples at random"),
    ],
)
def test_options_of_the_data_are_checked(options, message, table):
    with pytest.raises(ValueError, match=message):
        DataModule(load_table(table(), split="time"), 16, **options)


def test_a_column_without_spread_is_named(table):
    content = frame().assign(same=1.0)
    content["count"] = (content.index >= ROWS - 20).astype(float)
    with pytest.raises(ValueError, match="no spread in the training part: same; leave them out with dataset.exclude"):
        DataModule(load_table(table(content)), 16, scaling="standard")
    with pytest.raises(ValueError, match="no spread in the training part: count; .*use dataset.scaling=standard"):
        DataModule(load_table(table(content), exclude=["same"]), 16, scaling="robust")


def test_from_a_file_to_generated_rows(table, configure, run_command):
    path = table()
    options = ("dataset=table", f"dataset.path={path}", "dataset.label=kind", "condition=both", "test_noises=null")
    config = configure(*options, "dataset.name=rain", "model.latent_dim=2")
    train(config)
    run = Run.of(config)
    assert run.name.startswith("rain-none-normal-s0-")
    code, text = run_command(generate_command, f"run={run.folder}", "n=30", "class=1", f"output={run.folder / 'made'}")
    assert code == 0, text
    rows = pd.read_csv(run.folder / "made" / "generated.csv")
    assert list(rows.columns) == ["rain", "wind", "count", "kind"]
    assert len(rows) == 30
    assert set(rows["kind"]) == {"wet"}
    # In the units of the table: the mean wind is about 10, far from the 0 of the scaled values.
    assert 5 < rows["wind"].mean() < 15


def test_a_table_that_has_changed_is_refused(table, configure, run_command, tmp_path):
    path = table()
    config = configure("dataset=table", f"dataset.path={path}", "test_noises=null")
    train(config)
    run = Run.of(config)
    old = tmp_path / "old"
    old.mkdir()
    (old / "rain.csv").write_text((tmp_path / "rain.csv").read_text())
    table(frame().assign(rain=1.0 + np.arange(ROWS)))
    ask = (f"run={run.folder}", "n=4", "by=class_embedding", f"output={tmp_path / 'made'}")
    code, text = run_command(generate_command, *ask)
    assert code == 2
    assert "the table has changed since this run was trained" in text
    code, text = run_command(generate_command, *ask, f"dataset_root={old}")
    assert "the table has changed" not in text
    assert run.record["data_digest"]
    with pytest.raises(ValueError, match=r"rain.csv has changed since .* was trained; train a new run with another"):
        train(config)
    assert train({**config, "dataset": {**config["dataset"], "root": str(old)}}) == run.metrics
    (run.folder / "run.json").write_text('{"status": "interrupted"}')
    with pytest.raises(ValueError, match="the table has changed"):
        train(config)


@pytest.mark.parametrize("options", [(), ("stack=2",)], ids=["alone", "stacked"])
def test_a_sweep_notices_a_changed_table_and_a_report_does_not_average_both(options, table, run_command, tmp_path):
    words = (*QUICK, "dataset=table", f"dataset.path={table()}", "test_noises=null", *options)
    code, text = run_command(train_command, "-m", *words, "seed=0")
    assert code == 0, text
    table(frame().assign(rain=1.0 + np.arange(ROWS)))
    code, text = run_command(train_command, "-m", *words, "seed=0,1")
    assert code != 0
    assert "1 done" in text
    assert "1 of changed data" in text
    assert "rain.csv has changed since" in text
    assert "start the same command again" not in text
    found = results([tmp_path / "outputs"])
    assert list(found["status"]) == ["done", "done"]
    assert found["options"].nunique() == found["dataset.content"].nunique() == 2


def test_figures_of_a_table_are_in_its_units_and_under_its_names(table, configure, monkeypatch):
    shown = []
    monkeypatch.setattr(clouds, "scatter_panels", lambda panels, names: shown.append((panels, names)) or Figure())
    options = ("dataset=table", f"dataset.path={table()}", "test_noises=null", "callbacks.figures.enabled=true")
    train(configure(*options, "callbacks.figures.show=[reconstructions]"))
    ((panels, names),) = shown
    assert names == ["rain", "wind", "count"]
    assert list(panels) == ["original", "reconstruction", "prior samples"]
    found = {round(float(value), 3) for value in panels["original"][:, 1]}
    assert found <= {round(float(value), 3) for value in frame()["wind"]}


def test_a_stack_does_not_go_on_with_a_table_that_has_changed(table, configure):
    options = ("dataset=table", f"dataset.path={table()}", "test_noises=null")
    config = configure(*options)
    train_together([config])
    run = Run.of(config)
    (run.folder / "run.json").write_text('{"status": "interrupted"}')
    table(frame().assign(rain=1.0 + np.arange(ROWS)))
    with pytest.raises(ValueError, match="the table has changed since this run was trained"):
        train_together([config])
    assert run.record["status"] == "failed"


def test_a_saved_run_says_where_it_misses_its_table(table, configure, run_command, tmp_path):
    path = table()
    config = configure("dataset=table", f"dataset.path={path}", "test_noises=null")
    train(config)
    (tmp_path / "elsewhere").mkdir()
    moved = (tmp_path / "rain.csv").rename(tmp_path / "elsewhere" / "rain.csv")
    ask = (f"run={Run.of(config).folder}", OPENED_ON)
    code, text = run_command(evaluate_command, *ask)
    assert code == 2
    assert f"there is no file {tmp_path / 'rain.csv'}; name the folder that holds rain.csv with dataset_root=" in text
    # The scores of a finished run do not need it.
    assert train(config) == Run.of(config).metrics
    code, text = run_command(evaluate_command, *ask, f"dataset_root={moved.parent}")
    assert code == 0, text
