"""A search: its space, the value of a trial, interruptions, and the best trial as an experiment file."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
import yaml
from hydra import compose
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from tests.support.composing import CONF, REPOSITORY
from tests.support.device import TRAINED_ON
from tests.support.outcomes import assert_same_outcome
from vae_hydra import search, train
from vae_hydra.base.command.configuration import config_folder, plain
from vae_hydra.base.command.groups import has_option
from vae_hydra.base.hydra_versions import initialized
from vae_hydra.runs.folder import Run
from vae_hydra.runs.identity import identity
from vae_hydra.studies.reporting import collect
from vae_hydra.studies.search.experiment_file import experiment_file
from vae_hydra.studies.search.results import draw, write_table
from vae_hydra.studies.search.search import fixed_overrides
from vae_hydra.studies.search.space import read_space, suggest, written
from vae_hydra.studies.search.study import PRUNERS, next_trial, open_study, report
from vae_hydra.studies.search.trial import check_searchable
from vae_hydra.training.callbacks import Pruned, Pruning
from vae_hydra.training.history import read_epochs
from vae_hydra.training.module import VAEModule

FIXED = (
    "trainer.max_epochs=3",
    TRAINED_ON,
    "callbacks.figures.enabled=false",
    "dataset.fraction=0.2",
    "test_noises=null",
)
SPACE = (
    "search=none",
    "+search.space.sampler={choices:[normal,laplace]}",
    "+search.space.model.encoder.widths={choices:[[8],[16,8]]}",
    "+search.space.model.latent_dim={low:2,high:5}",
    "+search.space.optimizer.lr={low:1e-6,high:1e-2,log:true}",
)
ENGINE = ("trials=4", "search.startup=2", "search.warmup=1", "seed=3")
# With this seed the first choice of two is the second.
FAILS_FIRST = 1
COMMAND = (*FIXED, *SPACE, *ENGINE)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """The folder in which COMMAND ran, and what it printed."""
    folder, printed = tmp_path_factory.mktemp("searched"), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["search.py", *COMMAND])
        search.main()
    return folder, printed.getvalue()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY)}


def trials(folder: Path) -> list[dict[str, str]]:
    (path,) = folder.glob("outputs/searches/*/trials.csv")
    return list(csv.DictReader(path.read_text().splitlines()))


def test_trials_are_runs_with_the_elbo_of_their_best_epoch(searched):
    folder, text = searched
    rows = trials(folder)
    assert [int(row["trial"]) for row in rows] == list(range(4))
    assert {row["state"] for row in rows} == {"done", "pruned"}
    for row in rows:
        run = Run.open(folder / "outputs" / row["run"])
        assert run.record["status"] == row["state"]
        assert run.config["optimizer"]["lr"] == float(row["optimizer.lr"])
        assert run.config["model"]["encoder"]["widths"] == yaml.safe_load(row["model.encoder.widths"])
        epochs = read_epochs(run.folder / "metrics.csv")
        assert len(epochs) == int(row["epochs"])
        best = min(epochs, key=lambda epoch: epoch["val/loss"]) if row["state"] == "done" else epochs[-1]
        assert float(row["val/elbo"]) == best["val/elbo"]
    assert "Traceback" not in text
    assert {path.name for path in folder.glob("outputs/searches/*/figures/*")} >= {"history.png"}
    statuses = collect([folder / "outputs"]).frame["status"]
    assert sorted(statuses) == sorted(row["state"] for row in rows)


def test_the_best_trial_is_an_experiment_that_is_done_already(searched, run_command):
    folder, text = searched
    best = max((row for row in trials(folder) if row["state"] == "done"), key=lambda row: float(row["val/elbo"]))
    (path,) = folder.glob("outputs/searches/*/experiment/best.yaml")
    lines = path.read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert f"trial {best['trial']}, run {best['run']}" in lines[2]
    assert float(best["val/elbo"]) == pytest.approx(float(lines[2].split()[3]), rel=1e-5)
    (command,) = (line.removeprefix("again    ") for line in text.splitlines() if line.startswith("again "))
    assert lines[3] == f"# {command}"
    name = path.parents[1].relative_to(folder).as_posix()
    assert command == f"python -m vae_hydra.train --config-dir {name} experiment=best"
    code, text = run_command(
        train, "--config-dir", str(path.parents[1]), "experiment=best", f"output_dir={folder / 'outputs'}"
    )
    assert (code, f"{best['run']} is done already" in text) == (0, True)


def test_an_interrupted_search_goes_on_as_if_it_had_run_through(searched, run_command, tmp_path, monkeypatch):
    folder, _ = searched
    original, seen = VAEModule.training_step, []

    def interrupted_step(self, batch, batch_idx):
        if id(self) not in seen:
            seen.append(id(self))
        if (len(seen), self.current_epoch, batch_idx) == (2, 1, 0):
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(VAEModule, "training_step", interrupted_step)
        # More trials are the same search.
        code, text = run_command(search, *COMMAND, "trials=2")
    assert code == 128 + signal.SIGTERM
    assert "stopped by SIGTERM; start the same command again" in text
    assert sorted(Run(path).record["status"] for path in tmp_path.glob("outputs/digits-*")) == ["done", "interrupted"]
    code, text = run_command(search, *COMMAND)
    assert (code, "trial    0 " in text, "trial    1 " in text) == (0, False, True)
    assert trials(tmp_path) == trials(folder)
    for row in trials(folder):
        if row["state"] == "done":
            assert_same_outcome(tmp_path / "outputs" / row["run"], folder / "outputs" / row["run"])


def test_a_failed_trial_is_logged_and_the_search_goes_on(run_command, tmp_path):
    command = (*FIXED, "search=none", "+search.space.model.latent_dim={choices:[3,-2]}", "trainer.max_epochs=1")
    code, text = run_command(search, *command, "trials=1", f"search.seed={FAILS_FIRST}")
    assert (code, "no trial has a value" in text) == (1, True)
    assert "model.latent_dim must be an integer ≥ 1, but got -2" in text
    code, text = run_command(search, *command, "trials=4", f"search.seed={FAILS_FIRST}")
    assert code == 0
    rows = trials(tmp_path)
    assert {(row["state"], row["model.latent_dim"]) for row in rows} == {("done", "3"), ("failed", "-2")}
    assert all(("got -2" in row["error"]) == (row["state"] == "failed") for row in rows)
    assert "Traceback" not in text
    # The same configuration twice is trained once.
    assert len(list(tmp_path.glob("outputs/digits-*/best.ckpt"))) == 1


def test_an_option_of_one_choice_is_left_out_with_the_others():
    space = read_space({"sampler": {"choices": ["normal", "student_t"], "df": {"low": 3.0, "high": 10.0}}}, [])
    study = optuna.create_study()
    found = [suggest(study.ask(), space) for _ in range(20)]
    assert {len(overrides) for overrides in found} == {1, 2}
    for choice, *options in found:
        assert (choice == "sampler=student_t") == any(option.startswith("sampler.df=") for option in options)


@pytest.mark.parametrize("first", ["normal", "student_t"])
def test_options_of_one_choice_are_drawn_and_written(first, tmp_path):
    """Whichever trial is the first, which may lack the option."""
    space = read_space({"sampler": {"choices": ["normal", "student_t"], "df": {"low": 3.0, "high": 10.0}}}, [])
    study = optuna.create_study(direction="maximize")
    study.enqueue_trial({"sampler": first})
    for number in range(8):
        trial = study.ask()
        suggest(trial, space)
        if number == 5:
            trial.report(1.0, 1)
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, -float(number))
    assert [path.name for path in draw(study, tmp_path / "figures")] == ["history.png", "options.png"]
    write_table(study, tmp_path / "trials.csv")
    rows = list(csv.DictReader((tmp_path / "trials.csv").open()))
    assert {row["sampler"] for row in rows if row["sampler.df"]} == {"student_t"}
    assert {row["sampler"] for row in rows if not row["sampler.df"]} == {"normal"}


def test_an_option_may_belong_to_a_choice_of_ones_own():
    assert has_option("student_t", "sampler.df")
    assert not has_option("normal", "sampler.df")
    assert has_option("mine", "sampler.df")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["+search.space.condition={choices:[none,both]}"], "which cannot be compared with log p(x)"),
        (["search.space.sampler.choices=[normal,cauchy]"], "sampler=cauchy: there is no such option"),
        (["model=conv"], "at model.encoder.widths=[128]: Key 'widths' is not in struct"),
        ([*SPACE, "trainer.max_epochs=0"], "trainer.max_epochs must be an integer ≥ 1"),
        (["trials=0"], "trials must be an integer ≥ 1, but got 0"),
        (["search.pruning=asha"], "search.pruning must be one of median, hyperband, none, but got 'asha'"),
        (["-m", "seed=0,1"], "a search is one command"),
    ],
)
def test_an_impossible_search_is_refused_and_writes_nothing(arguments, expected, run_command, tmp_path):
    code, text = run_command(search, *arguments)
    assert code == 2
    assert expected in text
    assert "Traceback" not in text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("sampler=deterministic", "sampler=deterministic has no ELBO"),
        ("dataset.validation=0", "no examples to validate on; set dataset.validation=0.1"),
        ("+trainer.limit_val_batches=0", "no examples to validate on"),
        ("trainer.devices=2", "a search trains each run on one device"),
    ],
)
def test_training_without_a_validation_elbo_is_no_trial(option, expected, configure):
    check_searchable(configure())
    with pytest.raises(ValueError, match=expected):
        check_searchable(configure(option))


def test_options_of_the_search_are_no_options_of_a_trial():
    typed = ["trials=3", "search=none", "+search.space.seed={low:1,high:2}", "seed=3", "~test_noises.normal"]
    assert fixed_overrides(typed) == ["seed=3", "~test_noises.normal"]
    with pytest.raises(ValueError, match="experiment=best would be built upon itself"):
        fixed_overrides(["experiment=best"])


def test_without_optuna_the_extra_is_named(run_command, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, text = run_command(search)
    assert code == 2
    assert "pip install 'vae_hydra[search]'" in text


def test_a_space_is_read_without_the_options_of_the_command_line():
    space = {
        "optimizer": {"choices": ["adam", "adamw"], "lr": {"low": 1e-4, "high": 1, "log": True}},
        "model": {"latent_dim": {"low": 2, "high": 8, "step": 2}, "encoder": {"widths": {"choices": [[8], [8, 8]]}}},
        "noise.distribution.high": {"low": 0, "high": 1.0, "step": 0.25},
        "sampler": {"choices": ["normal"]},
    }
    assert read_space(space, {"sampler", "seed"}) == {
        "optimizer": CategoricalDistribution(["adam", "adamw"]),
        "optimizer.lr": FloatDistribution(1e-4, 1.0, log=True),
        "model.latent_dim": IntDistribution(2, 8, step=2),
        "model.encoder.widths": CategoricalDistribution(["[8]", "[8,8]"]),
        "noise.distribution.high": FloatDistribution(0.0, 1.0, step=0.25),
    }


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        ({}, "no option left to search"),
        ({"seed": {}}, "search.space.seed must be {choices"),
        ({"seed": {"low": 1}}, "search.space.seed must be {choices"),
        ({"seed": {"choices": [1], "low": 1, "high": 2}}, "search.space.seed must be {choices"),
        ({"seed": {"choices": []}}, "search.space.seed.choices must be a list"),
        ({"seed": {"choices": 3}}, "search.space.seed.choices must be a list"),
        ({"seed": {"low": 3, "high": 2}}, "search.space.seed: `low <= high`"),
        ({"seed": {"low": "a", "high": 2}}, "low, high and step must be numbers"),
        ({"beta.value": {"low": 0.0, "high": 2, "log": True}}, "search.space.beta.value: "),
        ({"beta.value": {"low": 1, "high": 2, "log": "yes"}}, "search.space.beta.value.log must be true or false"),
        ({"optimizer": {"lr": 3}}, "search.space.optimizer.lr must be {choices"),
        ({"optimizer": 3}, "search.space.optimizer must be a group of options"),
        ({"threads": {"choices": [1, 2]}}, "search.space.threads is about where or how"),
        ({"callbacks": {"progress": {"refresh_rate": {"low": 1, "high": 2}}}}, "is about where or how"),
        ({"dataset": {"choices": ["digits", "mnist"]}}, "search.space.dataset changes the data"),
        ({"dataset": {"fraction": {"low": 0.1, "high": 1.0}}}, "search.space.dataset.fraction changes the data"),
        ({"likelihood": {"choices": ["bernoulli", "gaussian"]}}, "bernoulli is no density"),
    ],
)
def test_an_invalid_space_is_refused(space, expected):
    with pytest.raises(ValueError, match=".*") as error:
        read_space(space, set())
    assert expected in str(error.value)


@pytest.mark.parametrize(
    "value", [1, -2.5e-7, True, None, "relu", "a 'b' ${c}", "true", "1e3", [[8], []], {"a": [1, "x y"]}]
)
def test_values_are_written_as_hydra_reads_them(value):
    with initialized(CONF):
        config = compose("train", [f"+given={written(value)}"])
    read = OmegaConf.to_container(config, resolve=False)["given"]
    assert read == (value.replace("${", "\\${") if isinstance(value, str) else value)
    assert type(read) is type(value)


@pytest.mark.parametrize(
    "overrides",
    [
        ["sampler=lognormal", "optimizer.lr=1.2345678901234567e-05", "model.encoder.widths=[8,16]", "seed=7"],
        ["experiment=heavy_tailed/mnist", "dataset=digits", "beta.value=2", "scheduler=cosine", "sampler=normal"],
        ["experiment=tails/student_t_mixture", "++sampler.prior.loc=1.0", "model.latent_dim=3"],
        ["noise=none", "noise.name=gamma", "noise.distribution={_target_:torch.distributions.Gamma,rate:4.0}"],
        ["callbacks=early_stopping", "+trainer.limit_train_batches=2", "callbacks.progress.refresh_rate=3"],
        ["+noise@test_noises.strong=normal", "test_noises.strong.name=strong", "~test_noises.uniform", "~sampler.kl"],
    ],
)
def test_an_experiment_file_is_equivalent_to_its_overrides(overrides, tmp_path):
    groups = {path.name for path in config_folder().iterdir() if path.is_dir()}
    text, typed = experiment_file(overrides, groups.__contains__)
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "best.yaml").write_text(text)
    with initialized(CONF):
        one = plain(compose("train", overrides))
        other = plain(compose("train", [f"hydra.searchpath=[file://{tmp_path}]", "experiment=best", *typed]))
    assert identity(one) == identity(other)
    assert one["test_noises"] == other["test_noises"]


def study_in(folder: Path, pruning: str = "none", max_epochs: int = 6):
    return open_study(folder, {"seed": 0, "startup": 2, "pruning": pruning, "warmup": 2, "seeds": 1}, max_epochs)


def test_a_trial_belongs_to_one_process_until_that_process_is_gone(tmp_path):
    one, other = study_in(tmp_path / "s"), study_in(tmp_path / "s")
    with next_trial(one, tmp_path / "s", 3) as first, next_trial(other, tmp_path / "s", 3) as second:
        assert (first.number, second.number) == (0, 1)
        drawn = first.suggest_float("x", 0, 1)
        assert second.suggest_float("x", 0, 1) != drawn
        one.tell(second.number, 1.0)
    # The first trial was abandoned: it goes on with the options that it had.
    with next_trial(other, tmp_path / "s", 3) as again:
        assert (again.number, again.suggest_float("x", 0, 1)) == (0, drawn)
        other.tell(again, state=TrialState.FAIL)
    with next_trial(one, tmp_path / "s", 2) as none:
        assert none is None


@pytest.mark.parametrize("pruning", PRUNERS)
def test_a_hopeless_trial_is_pruned_if_pruning_is_on(pruning, tmp_path):
    study = study_in(tmp_path / "s", pruning)
    pruned = {}
    for total in range(1, 8):
        with next_trial(study, tmp_path / "s", total) as trial:
            slope = -1.0 if trial.number == 6 else 1.0 + 0.01 * (trial.number % 2)
            stops = [epochs for epochs in range(1, 7) if report(trial, epochs, slope * epochs)]
            pruned[trial.number] = bool(stops)
            assert all(epochs >= 2 for epochs in stops)
            study.tell(trial, slope)
    assert pruned[6] == (pruning != "none")
    assert not pruned[0]


def test_a_pruned_run_is_recorded_and_can_be_trained_on(configure, tmp_path):
    options = ("trainer.max_epochs=4", "dataset.fraction=0.2", "callbacks.checkpoints.every_n_epochs=3")
    seen: dict[int, float] = {}

    def is_hopeless(epochs: int, elbo: float) -> bool:
        seen[epochs] = elbo
        return epochs >= 2

    config = configure(*options)
    with pytest.raises(Pruned):
        train.train(config, [Pruning(is_hopeless)])
    run = Run.of(config)
    assert run.record["status"] == "pruned"
    assert "after 2 epochs" in run.record["error"]
    assert seen == {int(row["epoch"]) + 1: row["val/elbo"] for row in read_epochs(run.folder / "metrics.csv")}
    assert list(collect([run.folder.parent]).frame["status"]) == ["pruned"]
    whole = configure(*options, f"output_dir={tmp_path / 'whole'}")
    # After the last epoch it is too late to stop.
    train.train(whole, [Pruning(lambda epochs, elbo: epochs == 4)])
    train.train(config)
    assert run.record["status"] == "done"
    assert_same_outcome(run.folder, Run.of(whole).folder)


@pytest.mark.slow
def test_two_processes_share_a_search(tmp_path):
    command = [sys.executable, "-m", "vae_hydra.search", *COMMAND, "trials=8", "threads=1"]
    both = [subprocess.Popen(command, cwd=tmp_path, env=_environment(), stdout=subprocess.PIPE) for _ in range(2)]
    said = [process.communicate()[0].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert all("trial    " in text for text in said)
    rows = trials(tmp_path)
    assert [int(row["trial"]) for row in rows] == list(range(8))
    assert {row["state"] for row in rows} <= {"done", "pruned"}
    assert len({row["optimizer.lr"] for row in rows}) == 8


def test_the_check_before_training_is_no_validation_of_a_trial():
    pruning, told = Pruning(lambda epoch, value: told.append((epoch, value)) or False), []
    ends = {"max_epochs": 2, "should_stop": False}
    check = SimpleNamespace(sanity_checking=True, current_epoch=0, callback_metrics={}, **ends)
    second = SimpleNamespace(sanity_checking=False, current_epoch=1, callback_metrics={"val/elbo": -3.0}, **ends)
    for trainer, expected in ((check, []), (second, [(2, -3.0)])):
        pruning.on_validation_end(trainer, None)
        pruning.on_train_epoch_end(trainer, None)
        assert told == expected
