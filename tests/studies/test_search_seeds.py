"""A search whose trials are several runs, one for each seed."""

from __future__ import annotations

import csv
import os
import signal
from pathlib import Path

import pytest
import yaml
from optuna.trial import TrialState

from tests.support.device import TRAINED_ON
from vae_hydra import search
from vae_hydra.runs.folder import Run
from vae_hydra.studies.reporting import collect
from vae_hydra.studies.search.study import PRUNERS, next_trial, open_study, report
from vae_hydra.studies.search.trial import objective
from vae_hydra.training.module import VAEModule

COMMAND = (
    "trainer.max_epochs=2",
    TRAINED_ON,
    "callbacks.figures.enabled=false",
    "dataset.fraction=0.1",
    "test_noises=null",
    "search=none",
    "+search.space.optimizer.lr={low:1e-6,high:1e-2,log:true}",
    "+search.space.model.encoder.widths={choices:[[8]]}",
    "+search.space.model.decoder.widths={choices:[[8]]}",
    "seed=3",
)
# The name of the search of COMMAND from before search.seeds.
NAME = "none-38410b29"


def _trials(folder: Path) -> list[dict[str, str]]:
    (path,) = folder.glob("outputs/searches/*/trials.csv")
    return list(csv.DictReader(path.read_text().splitlines()))


def test_a_trial_has_the_mean_of_its_seeds(run_command, tmp_path):
    code, text = run_command(search, *COMMAND, "search.seeds=2", "trials=2")
    assert (code, "2 trials of 2 seeds" in text) == (0, True)
    rows = _trials(tmp_path)
    assert len(rows) == 2
    for row in rows:
        runs = [Run.open(tmp_path / "outputs" / name) for name in row["run"].split()]
        assert [run.config["seed"] for run in runs] == [3, 4]
        assert {run.config["optimizer"]["lr"] for run in runs} == {float(row["optimizer.lr"])}
        one, other = map(objective, runs)
        assert one != other
        assert float(row["val/elbo"]) == pytest.approx((one + other) / 2, rel=1e-12)
        assert int(row["epochs"]) == 4
    assert list(collect([tmp_path / "outputs"]).frame["status"]) == ["done"] * 4
    (path,) = tmp_path.glob("outputs/searches/*/experiment/best.yaml")
    best = max(rows, key=lambda row: float(row["val/elbo"]))
    lines = path.read_text().splitlines()
    assert f"mean of 2 seeds: trial {best['trial']}, run {best['run']}" in lines[2]
    assert lines[3].endswith("experiment=best seed=3,4")
    assert yaml.safe_load(path.read_text())["optimizer"]["lr"] == float(best["optimizer.lr"])


def test_one_seed_is_the_search_from_before_there_were_several(run_command, tmp_path):
    code, _ = run_command(search, *COMMAND, "search.seeds=1", "trials=1")
    assert code == 0
    assert [path.name for path in tmp_path.glob("outputs/searches/*")] == [NAME]


def test_an_interrupted_trial_goes_on_with_the_seed_it_was_at(run_command, tmp_path, monkeypatch):
    original, trained = VAEModule.training_step, []

    def interrupted_step(self, batch, batch_idx):
        if id(self) not in trained:
            trained.append(id(self))
        if len(trained) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, batch, batch_idx)

    command = (*COMMAND, "search.seeds=2", "trials=1")
    with monkeypatch.context() as patch:
        patch.setattr(VAEModule, "training_step", interrupted_step)
        code, _ = run_command(search, *command)
    assert code == 128 + signal.SIGTERM
    first = {path: path.stat().st_mtime_ns for path in tmp_path.glob("outputs/*-s3-*/best.ckpt")}
    assert len(first) == 1
    code, text = run_command(search, *command)
    assert (code, "trial    0 (1 of 1)" in text) == (0, True)
    assert {path: path.stat().st_mtime_ns for path in first} == first
    (row,) = _trials(tmp_path)
    values = [objective(Run.open(tmp_path / "outputs" / name)) for name in row["run"].split()]
    assert float(row["val/elbo"]) == pytest.approx(sum(values) / 2, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["search.seeds=0"], "search.seeds must be an integer ≥ 1, but got 0"),
        (
            ["search.seeds=2", "+search.space.seed={low:0,high:9}"],
            "search.seeds=2 and search.space.seed both choose the seeds of a trial",
        ),
    ],
)
def test_seeds_that_cannot_be(arguments, expected, run_command, tmp_path):
    # An option that the command line fixes leaves the space.
    code, text = run_command(search, *(word for word in COMMAND if word != "seed=3"), *arguments)
    assert (code, expected in text) == (2, True), text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("pruning", PRUNERS)
def test_a_trial_is_pruned_by_the_mean_of_its_seeds(pruning, tmp_path):
    """The last trial has a lucky first seed; the mean of its two is the least, so that it does not train a third."""
    options = {"seed": 0, "startup": 2, "pruning": pruning, "warmup": 7, "seeds": 3}
    study, stops = open_study(tmp_path / "s", options, max_epochs=6), []
    for total in range(1, 8):
        with next_trial(study, tmp_path / "s", total) as trial:
            means = [9.0, -9.0, -9.0] if total == 7 else [1.0, 1.0 + total / 10, 1.0]
            stops.append([report(trial, seeds, mean) for seeds, mean in enumerate(means, start=1)])
            is_hopeless = stops[-1][1]
            state = TrialState.PRUNED if is_hopeless else TrialState.COMPLETE
            study.tell(trial, None if is_hopeless else means[-1], state)
    # Seven epochs are more than a run: a trial has at least two.
    assert not any(stop[0] for stop in stops)
    assert stops[-1][1] == (pruning != "none")
