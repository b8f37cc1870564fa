"""Runs that only try something: debug=… and fast_dev_run train anew each time, elsewhere, and stand in no report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import made
from tests.support.device import TRAINED_ON
from vae_hydra import report, sweep, train
from vae_hydra.runs import train as training
from vae_hydra.runs.finished import finished_scores
from vae_hydra.runs.folder import Run
from vae_hydra.runs.identity import identity, run_name
from vae_hydra.runs.train import train as train_run
from vae_hydra.studies.reporting import collect, results
from vae_hydra.training.history import read_epochs
from vae_hydra.training.module import VAEModule

SMALL = ("dataset.fraction=0.1", "test_noises=null", "callbacks.figures.enabled=false", "threads=1")


@pytest.fixture
def steps(monkeypatch):
    """The number of the training steps so far, as the length of a list."""
    counted, step = [], VAEModule.training_step
    monkeypatch.setattr(VAEModule, "training_step", lambda *arguments: counted.append(1) or step(*arguments))
    return counted


@pytest.mark.parametrize("option", ["debug=one_step", "+trainer.fast_dev_run=true"])
def test_a_trial_is_trained_anew_each_time(option, run_command, steps, tmp_path):
    for count in (1, 2):
        code, text = run_command(train, *SMALL, TRAINED_ON, option, "tags=[first,second]")
        assert code == 0, text
        assert len(steps) == count
        assert "cut this run short" in text
        assert "done already" not in text
    (folder,) = (path.parent for path in tmp_path.rglob("run.json"))
    assert folder.parent == tmp_path / ("outputs/debug" if "debug" in option else "outputs")
    assert Run.open(folder).record["tags"] == ["first", "second"]


def test_a_trial_that_cannot_be_built_leaves_the_earlier_one(configure, monkeypatch):
    config = configure(*SMALL, "debug=one_step")
    train_run(config)
    kept = {path: path.read_bytes() for path in Run.of(config).folder.rglob("*") if path.is_file()}

    def fail(config):
        raise ValueError("the data are gone")

    monkeypatch.setattr(training, "build_experiment", fail)
    with pytest.raises(ValueError, match="the data are gone"):
        train_run(config)
    assert {path: path.read_bytes() for path in kept} == kept


def test_the_real_run_is_another_than_its_trial(configure, steps):
    trial = configure(*SMALL, "+trainer.fast_dev_run=true")
    train_run(trial)
    real = configure(*SMALL)
    assert Run.of(real).folder != Run.of(trial).folder
    assert finished_scores(real) is finished_scores(trial) is None


def test_a_sweep_of_trials_trains_them_anew(run_command, steps):
    for count in (2, 4):
        code, text = run_command(sweep, *SMALL, "debug=one_step", "seed=0,1", "stack=2")
        assert code == 0, text
        assert len(steps) == count
    assert "trained alone: debug=…" in text


def test_one_batch_is_learnt(configure, tmp_path):
    config = configure(
        "debug=overfit", "trainer.max_epochs=60", "optimizer.lr=0.005", *SMALL[1:], f"output_dir={tmp_path}"
    )
    train_run(config)
    epochs = read_epochs(Run.of(config).folder / "metrics.csv")
    assert epochs[-1]["train/loss"] < 0.4 * epochs[0]["train/loss"]
    # Of one batch alone: others are predicted worse than it.
    assert epochs[-1]["val/loss"] > epochs[-1]["train/loss"] + 20


def test_the_profile_is_in_the_runs_folder(configure, tmp_path):
    config = configure("debug=profiler", *SMALL, "trainer.max_epochs=1", f"output_dir={tmp_path}")
    train_run(config)
    text = (Run.of(config).folder / "profile" / "fit-profile.txt").read_text()
    assert "run_training_batch" in text


def test_limited_data(configure):
    config = configure("debug=limited")
    assert (config["dataset"]["fraction"], config["trainer"]["max_epochs"]) == (0.1, 2)  # the tests' own two epochs


def test_no_report_takes_them(run_command, tmp_path):
    made.run(tmp_path / "outputs")
    for seed in (0, 1):
        made.run(tmp_path / "outputs" / "debug", seed=seed, debug="one_step")
    options = {**made.config(tmp_path / "outputs", seed=2), "debug": "one_step"}
    made.plan(tmp_path / "outputs" / "debug", [(run_name(options), ["debug=one_step"], None, options)])
    assert len(results([tmp_path / "outputs"])) == 1
    assert len(collect([tmp_path / "outputs"], with_debug=True).frame) == 4
    code, text = run_command(report, "outputs/debug")
    assert code == 2
    assert "are of debug=…, which stand in no report" in text


def test_tags_are_a_column_and_no_part_of_a_name(configure, tmp_path):
    assert identity(configure("tags=[a]")) == identity(configure())
    folder = made.run(tmp_path)
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, "tags": ["paper", "second try"]}))
    assert results([tmp_path])["tags"].tolist() == ["paper, second try"]


@pytest.mark.parametrize("tags", ["tags=[1]", "tags=x", "tags=['']"])
def test_tags_are_words(tags, run_command, tmp_path):
    code, text = run_command(train, tags)
    assert code == 2
    assert "tags must be a list of words, as in tags=[first,second]" in text
    assert not list(Path(tmp_path).iterdir())
