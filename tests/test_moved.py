"""What was written for the old layout goes on working: imports, saved runs and their names, samplers of users."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path

import pytest
import yaml

import vae_hydra
from tests.support.composing import REPOSITORY, composed
from tests.support.device import OPENED_ON
from vae_hydra._moved import MODULES, NAMES, TAKEN, new_name, old_name
from vae_hydra.analysis.evaluation import evaluate
from vae_hydra.runs.folder import Run
from vae_hydra.runs.identity import NOT_IDENTITY, run_name
from vae_hydra.runs.reading import read_run
from vae_hydra.runs.upgrade import upgrade, upgrade_description
from vae_hydra.studies.reporting import collect
from vae_hydra.studies.reporting.options import Compared

SUPPORT = REPOSITORY / "tests" / "support"
# Saved by the last version in which all modules lay in one folder: the command's options by the run's name.
OLD_RUNS = {
    "digits-lognormal-lognormal-s0-0c1be289": (
        *("sampler=lognormal", "noise=lognormal", "model.encoder.widths=[6]", "model.decoder.widths=[6]"),
        *("model.latent_dim=2", "callbacks.figures.enabled=false", "trainer.max_epochs=1"),
    ),
    "lognormal_2d-inverse_gaussian-inverse_gaussian-s0-344f212a": (
        *("dataset=lognormal_2d", "sampler=inverse_gaussian", "likelihood=student_t", "beta=cyclical"),
        *("noise=inverse_gaussian", "scheduler=cosine", "model.encoder.widths=[6]", "model.decoder.widths=[6]"),
        *("model.latent_dim=2", "dataset.fraction=0.01", "callbacks.figures.enabled=false", "trainer.max_epochs=1"),
    ),
    "digits-none-student_t-s0-5c41a164": (
        *("model=conv", "model.channels=[2,2]", "condition=both", "sampler=student_t", "beta=linear"),
        *("likelihood=bernoulli", "model.latent_dim=2", "logger=tensorboard", "callbacks=early_stopping"),
        *("optimizer=adamw", "callbacks.figures.enabled=false", "trainer.max_epochs=1"),
    ),
}
OLD_NAMES = (SUPPORT / "old_names.txt").read_text().split()


@pytest.fixture
def old_run(tmp_path):
    """A copy of an old run: old_run(name)."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(SUPPORT / "old_runs" / name, tmp_path / "outputs" / name))

    return copy


@pytest.mark.parametrize("module", dict.fromkeys(name.rpartition(".")[0] for name in OLD_NAMES))
def test_every_old_name_is_still_there(module):
    leaves = [leaf for home, _, leaf in (name.rpartition(".") for name in OLD_NAMES) if home == module]
    found = importlib.import_module(f"vae_hydra.{module}" if module else "vae_hydra")
    assert leaves
    assert not [leaf for leaf in leaves if not hasattr(found, leaf)]


def test_the_table_names_modules_that_exist_and_moves_none_of_them_twice():
    homes = [home for table in (MODULES, TAKEN) for homes in table.values() for home in homes.split()]
    for home in homes:
        importlib.import_module(f"vae_hydra.{home}")
    for name in [*(f"vae_hydra.{home}" for home in homes), *(f"vae_hydra.{new}" for new in NAMES.values())]:
        assert new_name(name) == name


def test_an_unknown_name_is_refused_as_python_does():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("vae_hydra.nothing")
    for module in ("vae_hydra.samplers", "vae_hydra.data", "vae_hydra.train"):
        with pytest.raises(AttributeError, match="nothing"):
            _ = importlib.import_module(module).nothing


def targets(node) -> list[str]:
    if isinstance(node, dict):
        found = [node["_target_"]] if "_target_" in node else []
        return found + [target for value in node.values() for target in targets(value)]
    return [target for value in node for target in targets(value)] if isinstance(node, list) else []


@pytest.mark.parametrize("name", OLD_RUNS)
def test_targets_of_old_runs_go_there_and_back(name):
    ours = targets(yaml.safe_load((SUPPORT / "old_runs" / name / "config.yaml").read_text()))
    assert any(new_name(target) != target for target in ours)
    for target in ours:
        assert old_name(new_name(target)) == target


@pytest.mark.parametrize("name", OLD_RUNS)
def test_the_name_of_a_run_did_not_change(name, old_run):
    run = Run.open(old_run(name))
    assert run_name(composed(*OLD_RUNS[name])) == name
    assert run_name(run.config) == name
    assert run_name(yaml.safe_load((run.folder / "config.yaml").read_text())) == name
    assert run.is_done
    assert not run.untested(composed(*OLD_RUNS[name]))


@pytest.mark.parametrize("name", OLD_RUNS)
def test_old_runs_are_loaded_and_score_what_they_scored(name, old_run, configure):
    folder = old_run(name)
    vae = vae_hydra.load(folder)
    assert vae.latent_dim == 2
    assert vae.sample(3).shape == (3, *vae.x_shape)
    scores = evaluate(configure(f"run={folder}", OPENED_ON, name="evaluate"))
    assert scores == pytest.approx(json.loads((folder / "metrics.json").read_text()), rel=1e-5)


def test_old_runs_stand_in_a_report(old_run):
    folders = [old_run(name) for name in OLD_RUNS]
    frame = collect([folders[0].parent]).frame
    assert sorted(frame["run"]) == sorted(OLD_RUNS)
    assert set(frame["status"]) == {"done"}


@pytest.mark.parametrize("name", OLD_RUNS)
def test_an_old_run_and_a_new_one_of_its_cell_are_replicates(name, old_run):
    old, config = old_run(name), composed(*OLD_RUNS[name], "seed=1")
    new = Path(shutil.copytree(old, old.with_name(run_name(config))))
    (new / "config.yaml").write_text(yaml.safe_dump(config))
    runs = [read_run(old), read_run(new)]
    assert [run.problem for run in runs] == [None, None]
    compared = Compared([run.leaves for run in runs])
    assert (compared.keys, compared.differences()) == ([], [])
    before, now = (run.config for run in runs)
    assert sorted(targets(before)) == sorted(targets(now))
    # Options of where and how a run is done are not filled in, nor groups whose default is to do without them.
    assert now.keys() - before.keys() <= {*NOT_IDENTITY, "prior"}
    assert before.keys() <= now.keys()


def test_older_configurations_and_descriptions_are_filled_in():
    config = {key: value for key, value in composed().items() if key not in ("condition", "classifier", "test_noises")}
    config |= {"sampler": {"_target_": "vae_hydra.samplers.NormalSampler"}, "seed": 3}
    upgraded = upgrade(config)
    assert list(upgraded) == [*config, "condition", "classifier"]
    assert (upgraded["condition"], upgraded["classifier"], upgraded["seed"]) == ({}, {}, 3)
    assert upgraded["sampler"] == {"_target_": "vae_hydra.model.samplers.NormalSampler"}
    upgraded["condition"]["name"] = "changed"
    assert upgrade(config)["condition"] == {}
    assert upgrade({**config, "condition": {"name": "both"}})["condition"] == {"name": "both"}
    description = upgrade_description({"config": config, "x_shape": [2]})
    assert (description["classes"], description["value_range"], description["x_shape"]) == (0, None, [2])
    assert upgrade_description({"config": config, "classes": 10})["classes"] == 10


def test_a_users_sampler_may_import_the_old_place(tmp_path, monkeypatch, configure):
    (tmp_path / "my_old_samplers.py").write_text(
        "from vae_hydra.samplers import NormalSampler, Sampler\n"
        "assert issubclass(NormalSampler, Sampler)\n"
        "class Mine(NormalSampler):\n    'A Normal.'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    from vae_hydra.model.samplers import Sampler
    from vae_hydra.runs.build import build_experiment

    module = build_experiment(configure("sampler._target_=my_old_samplers.Mine")).module
    assert isinstance(module.vae.sampler, Sampler)
