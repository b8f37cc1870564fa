"""Folders of runs as a table: columns, cells, missing and damaged runs."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from torch import nn

from tests.support import made
from tests.support.composing import options as config_options
from tests.support.made import evaluation
from vae_hydra.runs.build import build_noise, build_vae
from vae_hydra.runs.identity import run_name
from vae_hydra.studies.reporting import collect, pivot, results
from vae_hydra.studies.reporting.results import _layers


def test_a_row_says_what_a_run_is_and_how_it_went(tmp_path):
    folder = made.run(
        tmp_path, {"reconstruct/clean/half_sse": 5.5, "reconstruct/clean/kl": 7.0}, noise="uniform", seed=3
    )
    (row,) = results([tmp_path]).to_dict("records")
    expected = {
        "run": folder.name,
        "dataset": "digits",
        "noise": "uniform",
        "sampler": "normal",
        "latent_dim": 10,
        "encoder_layers": 3,
        "decoder_layers": 2,
        "epochs": 2,
        "learning_rate": 1e-3,
        "batch_size": 64,
        "kl": 7.0,
        "seconds_per_epoch": 2.5,
        "final_loss": 2.5,
        "half_sse": 5.5,
        "seed": 3,
        "fold": None,
        "beta": 1.0,
        "status": "done",
        "error": None,
        "started": "2026-01-01T00:00:00Z",
        "finished": "2026-01-01T00:01:00Z",
        "stacked": None,
        "tags": None,
        "reconstruct/clean/half_sse": 5.5,
    }
    assert {name: None if pd.isna(row[name]) else row[name] for name in expected} == expected
    assert list(row)[:24] == [*list(expected)[:23], "noise_label"]


@pytest.mark.parametrize("blocks", [0, 2])
@pytest.mark.parametrize("model", config_options("model"))
def test_layers_are_counted_as_the_networks_have_them(model, blocks, configure):
    has_blocks = "residual_blocks" in configure(f"model={model}")["model"]
    config = configure(f"model={model}", *([f"model.residual_blocks={blocks}"] if has_blocks else []))
    vae = build_vae(config, (1, 28, 28), build_noise(config), classes=10)
    kinds = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    for part, is_encoder in (("encoder", True), ("decoder", False)):
        count = sum(isinstance(layer, kinds) for layer in getattr(vae, part).modules())
        assert _layers(config["model"][part], is_encoder) == count


def test_options_that_differ_make_other_cells(tmp_path):
    for seed in (0, 1):
        for beta in (0.1, 1.0):
            made.run(tmp_path, seed=seed, beta__value=beta)
            made.run(tmp_path, seed=seed, beta__value=beta, sampler="student_t", sampler__df=3)
            made.run(tmp_path, seed=seed, beta__value=beta, sampler="student_t", sampler__df=5)
        made.run(tmp_path, seed=seed, noise="normal", noise__distribution={"scale": 0.5})
        made.run(tmp_path, seed=seed, noise="normal")
    table = pivot(results([tmp_path]), "reconstruct/clean/half_sse")
    assert [tuple(row) for row in table.cells] == [
        ("digits", "none", "beta.value=0.1"),
        ("digits", "none", "beta.value=1"),
        ("digits", "normal distribution.scale=0.5", ""),
        ("digits", "normal distribution.scale=1", ""),
    ]
    assert table.columns == ["normal", "student_t df=3", "student_t df=5"]
    assert {cell.n for _, _, cell in table} == {2}


def test_no_two_runs_are_ever_the_same_replicate_of_a_cell(tmp_path):
    """Options drawn at random, some tied to each other or to the sampler: each run has a place of its own."""
    draw = random.Random(0)
    names = set()
    while len(names) < 80:
        sampler = draw.choice(["normal", "lognormal", "student_t"])
        options = {
            "dataset": draw.choice(["digits", "mnist"]),
            "noise": draw.choice(["none", "normal"]),
            "sampler": sampler,
            "seed": draw.randrange(2),
            "dataset__fold": draw.choice([None, 0, 1]),
            "beta": draw.choice([{"name": "constant", "value": 1.0}, {"name": "linear", "end": 1.0, "duration": 5}]),
            "objective__kl_reduction": "mean" if sampler == "lognormal" else "sum",
            "optimizer__lr": draw.choice([1e-3, 1e-4]),
            "sampler__positive": draw.choice(["softplus", "exp"]),
            "model__encoder__widths": draw.choice([[256], [256, 256]]),
            "trainer__precision": draw.choice([None, "64-true"]),
        }
        name = run_name(made.config(tmp_path, **options))
        if name not in names:
            names.add(name)
            made.run(tmp_path, **options)
    table = pivot(results([tmp_path]), "reconstruct/clean/half_sse")
    assert sum(cell.n for _, _, cell in table) == 80


def test_a_confounded_comparison_is_reported(tmp_path):
    for sampler, reduction, lr in (("normal", "sum", 1e-3), ("inverse_gaussian", "mean", 1e-4)):
        for dataset in ("digits", "mnist"):
            made.run(tmp_path, sampler=sampler, dataset=dataset, objective__kl_reduction=reduction, optimizer__lr=lr)
    found = {difference.path: difference for difference in collect([tmp_path]).differences}
    assert found["objective.kl_reduction"].factors == ("sampler",)
    assert found["objective.kl_reduction"].values == [("inverse_gaussian", "mean"), ("normal", "sum")]
    assert found["optimizer.lr"].factors == ("sampler",)
    assert not found["optimizer.lr"].is_own
    assert found["sampler._target_"].is_own
    assert collect([tmp_path]).keys == []


def test_a_seed_of_the_data_that_goes_with_the_runs_is_part_of_the_replicate(tmp_path):
    for seed in (0, 1, 2):
        made.run(tmp_path / "tied", seed=seed, dataset__seed=seed)
        made.run(tmp_path / "free", seed=seed, dataset__seed=0)
        made.run(tmp_path / "free", seed=seed, dataset__seed=1)
    tied, free = collect([tmp_path / "tied"]), collect([tmp_path / "free"])
    assert tied.keys == []
    assert [(d.path, d.factors) for d in tied.differences] == [("dataset.seed", ("seed",))]
    assert free.keys == ["dataset.seed"]


def test_options_that_came_later_do_not_part_old_runs_from_new_ones(tmp_path):
    made.run(tmp_path, seed=0)
    made.run(tmp_path, seed=1, objective__free_bits=0.0, dataset__resize=None, condition={}, logger={"wandb": 1})
    assert collect([tmp_path]).keys == []
    made.run(tmp_path, seed=1, objective__free_bits=0.5)
    frame = results([tmp_path])
    assert list(frame["options"]) == [f"objective.free_bits={value}" for value in ("0", "0", "0.5")]


def test_a_copy_of_a_run_is_counted_once(tmp_path):
    original = made.run(tmp_path / "first", status="interrupted")
    copy = tmp_path / "second" / original.name
    made.run(tmp_path / "second")
    found = collect([tmp_path])
    assert list(found.frame["status"]) == ["done"]
    assert found.duplicates == [(original, copy)]
    # Named twice, it is one folder all the same.
    assert collect([copy, tmp_path / "second"]).duplicates == []


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("run.json", '{"status": "do', "run.json is damaged"),
        ("run.json", "[]", "run.json is damaged"),
        ("run.json", '{"status": ["x"]}', "run.json is damaged"),
        ("metrics.json", "", "metrics.json is damaged"),
        (
            "metrics.json",
            '{"reconstruct/clean/half_sse": "low"}',
            "metrics.json is damaged (its scores are not all numbers)",
        ),
        ("config.yaml", "a: [", "config.yaml is damaged"),
        ("config.yaml", "seed: 0", "config.yaml is damaged"),
        (
            "config.yaml",
            "{seed: a, dataset: {name: d}, noise: {name: n}, sampler: {name: s}}",
            "config.yaml is damaged",
        ),
        ("metrics.json", f'{{"x/y": 1{"0" * 400}}}', "too large"),
        ("metrics.json", None, "metrics.json"),
    ],
)
def test_a_damaged_run_is_listed_and_the_rest_goes_on(file, content, message, tmp_path):
    broken = made.run(tmp_path, seed=0)
    made.run(tmp_path, seed=1)
    (broken / file).unlink()
    if content is not None:
        (broken / file).write_text(content)
    frame = results([tmp_path])
    assert list(frame["status"]) == ["damaged", "done"]
    assert message in frame["error"][0]
    (cell,) = [cell for _, _, cell in pivot(frame, "reconstruct/clean/half_sse")]
    assert (cell.n, cell.others) == (1, {"damaged": 1})


def test_a_damaged_history_or_evaluation_leaves_the_scores(tmp_path):
    folder = made.run(tmp_path)
    (folder / "metrics.csv").write_text("epoch,train/loss\n0,abc\n")
    (folder / "evaluations").mkdir()
    (folder / "evaluations" / "best-test.json").write_text("{")
    (row,) = results([tmp_path]).to_dict("records")
    assert (row["status"], row["half_sse"]) == ("done", 1.0)
    assert pd.isna(row["final_loss"])
    assert "metrics.csv is damaged" in row["error"]
    assert "best-test.json" in row["error"]


def test_planned_runs_without_a_folder_are_missing(tmp_path):
    there = made.run(tmp_path, seed=0, beta__value=0.1)
    made.run(tmp_path, seed=0, beta__value=1.0)
    # What is not overridden is known from the cells of the sweep that ran.
    absent = run_name(made.config(tmp_path, sampler="lognormal", seed=1, beta__value=0.1))
    made.plan(
        tmp_path,
        [
            (there.name, ["beta.value=0.1", "seed=0"], None),
            (absent, ["beta.value=0.1", "seed=1", "sampler=lognormal"], None),
            (None, ["beta.value=0.1", "seed=2", "sampler=student_t"], "prior is <b>wrong</b>"),
        ],
    )
    found = collect([tmp_path])
    rows = found.frame.set_index("sampler")[["status", "options", "seed", "noise_label", "error"]]
    assert tuple(rows.loc["lognormal"])[:4] == ("missing", "beta.value=0.1", 1, "none")
    assert tuple(rows.loc["student_t"]) == ("failed", "beta.value=0.1", 2, "none", "prior is <b>wrong</b>")
    assert [cell.training_command for cell in found.planned] == [
        "python -m vae_hydra.train beta.value=0.1 seed=1 sampler=lognormal",
        "python -m vae_hydra.train beta.value=0.1 seed=2 sampler=student_t",
    ]
    table = pivot(found.frame, "reconstruct/clean/half_sse")
    assert {column: dict(cell.others) for row, column, cell in table if row.options == "beta.value=0.1"} == {
        "normal": {},
        "lognormal": {"missing": 1},
        "student_t": {"failed": 1},
    }


def test_a_cell_whose_place_is_not_known_is_listed_but_in_no_table(tmp_path):
    made.run(tmp_path, beta__value=0.1)
    made.run(tmp_path, beta__value=1.0)
    absent = run_name(made.config(tmp_path, sampler="lognormal"))
    made.plan(tmp_path, [(absent, ["sampler=lognormal", "experiment=mine"], None)])
    frame = results([tmp_path])
    assert list(frame["status"]) == ["done", "done", "missing"]
    assert pivot(frame, "reconstruct/clean/half_sse").columns == ["normal"]


def test_a_plan_that_is_run_again_leaves_nothing_missing(tmp_path):
    done = made.run(tmp_path, sampler="lognormal")
    made.plan(tmp_path, [(None, ["sampler=lognormal"], "disk full")], name="a")
    made.plan(tmp_path, [(done.name, ["sampler=lognormal"], None)], name="b")
    made.plan(tmp_path, [], name="c")
    (tmp_path / "sweeps" / "c" / "plan.json").write_text("{}")
    assert collect([tmp_path]).planned == []


def test_the_missing_runs_of_a_folder_with_only_a_plan_are_reported(tmp_path):
    made.plan(tmp_path, [("digits-none-normal-s4-01234567", ["seed=4"], None)])
    frame = results([tmp_path])
    assert frame[["status", "dataset", "noise", "sampler", "seed"]].to_dict("records") == [
        {"status": "missing", "dataset": "digits", "noise": "none", "sampler": "normal", "seed": 4}
    ]


def test_evaluations_keep_their_names_unless_they_measured_differently(tmp_path):
    first, second = made.run(tmp_path, seed=0), made.run(tmp_path, seed=1)
    again = {"reconstruct/clean/half_sse": 1.0}
    for folder in (first, second):
        evaluation(folder, "best-test-latents", {**again, "latents/silhouette": 0.5})
    evaluation(first, "best-test-nll50", {**again, "marginal/nll": 9.0}, nll={"samples": 50})
    evaluation(second, "best-test-nll200", {**again, "marginal/nll": 8.0}, nll={"samples": 200})
    evaluation(second, "last-test", {"reconstruct/clean/half_sse": 1.5}, checkpoint="last")
    frame = results([tmp_path])
    measured = {name: list(frame[name].dropna()) for name in frame.columns if "/" in name}
    assert measured == {
        "best-test-nll50/marginal/nll": [9.0],
        "best-test-nll200/marginal/nll": [8.0],
        "last-test/reconstruct/clean/half_sse": [1.5],
        "latents/silhouette": [0.5, 0.5],
        "reconstruct/clean/half_sse": [1.0, 1.0],
    }


def test_an_evaluation_from_before_the_options_of_the_tail_is_one_with_their_defaults(tmp_path):
    first, second, third = (made.run(tmp_path, seed=seed) for seed in range(3))
    before = {"samples": 300, "permutations": 20, "features": True}
    today = {**before, "kernel_examples": 2000, "tail_level": 0.95, "tail_threshold": None}
    evaluation(first, "one", {"generation/q99": 1.0}, generation=before)
    evaluation(second, "one", {"generation/q99": 2.0}, generation=today)
    assert list(results([tmp_path])["generation/q99"].dropna()) == [1.0, 2.0]
    evaluation(third, "other", {"generation/q99": 3.0}, generation={**today, "tail_level": 0.9})
    assert list(results([tmp_path])["other/generation/q99"].dropna()) == [3.0]


def test_folders_are_searched_but_not_inside_runs(tmp_path):
    outer = made.run(tmp_path / "deep" / "down")
    shutil.copytree(outer, outer / "copy" / outer.name)
    assert [run.path for run in collect([tmp_path]).runs] == [outer]
    assert [run.path for run in collect([outer]).runs] == [outer]


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["empty"], "there are no runs under .*empty: no folder there has a run.json"),
        (["nowhere"], "nowhere is not a folder"),
        ([], "no folder was given"),
    ],
)
def test_folders_without_runs_are_refused(folders, message, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=message):
        collect([tmp_path / folder for folder in folders])


def test_reading_runs_imports_neither_torch_nor_lightning(tmp_path):
    made.run(tmp_path)
    code = (
        f"import sys; from vae_hydra.reporting import results; results([{str(tmp_path)!r}]); "
        "from vae_hydra.reporting import write; "
        "print([name for name in ('torch', 'lightning', 'wandb') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_runs_as_training_writes_them_are_read(configure):
    from vae_hydra.runs.train import train

    config = configure("noise=normal", "sampler=student_t")
    metrics = train(config)
    (row,) = results([config["output_dir"]]).to_dict("records")
    assert {name: row[name] for name in metrics} == pytest.approx(metrics)
    assert (row["noise_label"], row["sampler_label"], row["epochs"], row["status"]) == (
        "normal",
        "student_t",
        2,
        "done",
    )
