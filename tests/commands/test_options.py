"""Options that nothing reads and values that cannot work: refused in a sentence; what a user may add works."""

from __future__ import annotations

import logging
import shutil
import sys
from importlib import import_module

import pytest
from hydra import compose

from tests.support.composing import CONF, QUICK, composed
from tests.support.device import DEVICE, TRAINED_ON
from tests.support.untrained_runs import untrained
from vae_hydra import search, train
from vae_hydra.base.command.words import flags_first
from vae_hydra.base.hydra_versions import initialized
from vae_hydra.runs.compatibility import warn_of_busy_cores
from vae_hydra.runs.resolve import resolve, without_hydra
from vae_hydra.runs.saved import data_of, open_run

REFUSED = {
    "added to the model": (
        ["+model.latentdim=3"],
        "model.latentdim: nothing reads this option; did you mean model.latent_dim?",
    ),
    "added to nothing": (["+lr=0.1"], "lr: nothing reads this option; did you mean optimizer.lr?"),
    "forced": (["++model.latentdim=3"], "did you mean model.latent_dim?"),
    "a whole group": (["+modell={latent_dim:3}"], "modell: nothing reads this option; did you mean model?"),
    "of another choice": (
        ["+model.depth=4"],
        "model.depth: nothing reads this option; it belongs to model=mlp_tapered",
    ),
    "of another dataset": (["+dataset.df=3"], "dataset.df: nothing reads this option"),
    "not of the sampler": (["+sampler.kll=x"], "did you mean sampler.kl?"),
    "not of the prior": (["+sampler.prior.sclae=2"], "did you mean sampler.prior.scale?"),
    "not of the trainer": (["+trainer.max_epoch=5"], "did you mean trainer.max_epochs?"),
    "not of the optimizer": (["+optimizer.foo=1"], "optimizer.foo: nothing reads this option; optimizer has betas, "),
    "within an added noise": (
        ["+noise@test_noises.strong=normal", "+test_noises.strong.distribution.sacle=2"],
        "did you mean test_noises.strong.distribution.scale?",
    ),
    "a sampler nobody makes": (["+sampler@second=normal"], "second: nothing reads this option"),
    "without a plus": (
        ["model.latentdim=3"],
        "model.latentdim: there is no such option; did you mean model.latent_dim?",
    ),
    "at the root": (["latent_dim=3"], "latent_dim: there is no such option; did you mean model.latent_dim?"),
    "a slip in any name": (["model.encoder.width=[3]"], "did you mean model.encoder.widths?"),
    "in a mapping": (["model={latentdim:3}"], "did you mean model.latent_dim?"),
    "no learning": (["optimizer.lr=0"], "optimizer.lr must be a number > 0, but got 0"),
    "no number": (["optimizer.lr=abc"], "optimizer.lr must be a number > 0, but got 'abc'"),
    "one beta": (["optimizer.betas=[0.9]"], "optimizer.betas must be a list of two numbers in [0, 1), but got [0.9]"),
    "a beta of 1": (["optimizer.betas=[0.9,1]"], "optimizer.betas[1] must be a number in [0, 1), but got 1"),
    "negative decay": (["optimizer.weight_decay=-1"], "optimizer.weight_decay must be a number ≥ 0"),
    "a negative length": (
        ["scheduler=cosine", "scheduler.T_max=-3"],
        "scheduler.T_max must be a number > 0, but got -3",
    ),
    "no length": (["scheduler=step", "scheduler.step_size=0"], "scheduler.step_size must be a number > 0, but got 0"),
    "one example": (["dataset.fraction=0.000001"], "leave 1 for training, but at least 10 examples are needed"),
    "many threads": (["threads=100000"], "threads must be an integer from 1 to 1024, but got 100000"),
    "no such processor": (
        ["trainer.accelerator=tpu"],
        "trainer.accelerator must be one of auto, cpu, gpu, cuda, mps, but got 'tpu'",
    ),
    "two sweeps": (
        ["sweep=coffee_break", "sweep=heavy_tailed/table"],
        "one command runs one sweep, but got sweep=coffee_break and sweep=heavy_tailed/table",
    ),
    "an empty sweep": (["-m", "seed=range(0,0)"], "the sweep has no runs"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_training_refuses(case, run_command, tmp_path):
    arguments, message = REFUSED[case]
    code, text = run_command(train, "trainer.max_epochs=1", *arguments)
    assert code != 0
    assert message in text
    assert "Traceback" not in text
    assert "append to your config" not in text
    assert not list(tmp_path.glob("outputs/digits-*"))


def test_a_sweep_refuses_what_nothing_reads_in_every_run(run_command, tmp_path):
    code, text = run_command(train, "sampler=normal", "-m", "+lr=0.1,0.01")
    assert code == 1
    assert text.count("lr: nothing reads this option; did you mean optimizer.lr?") == 2
    assert not list(tmp_path.glob("outputs/digits-*"))


@pytest.mark.parametrize(
    "name", ["evaluate", "generate", "embed", "figures", "explore", "ood", "info", "export", "report", "dashboard"]
)
def test_other_commands_refuse(name, run_command, tmp_path):
    given = [] if name in ("report", "dashboard") else ["run=nowhere"]
    for plus, message in (("+", "nothing reads this option"), ("", "there is no such option")):
        code, text = run_command(import_module(f"vae_hydra.{name}"), *given, f"{plus}outptu_dir=3", "+threds=1")
        assert code != 0
        assert message in text
        assert "Traceback" not in text


READ = {
    "an argument of the trainer": ["+trainer.log_every_n_steps=5"],
    "an argument of the optimizer": ["+optimizer.amsgrad=true"],
    "a noise to test on": ["+noise@test_noises.strong=normal", "test_noises.strong.name=strong"],
    "another prior": ["sampler.prior={_target_:torch.distributions.Laplace,loc:0,scale:1}"],
    "a callback": ["+callbacks.mine={_target_:lightning.pytorch.callbacks.Timer,duration:null}"],
    "a logger": ["logger=tensorboard", "+logger.mine={_target_:lightning.pytorch.loggers.CSVLogger,save_dir:x}"],
    "a value that others refer to": ["+width=32", "model.encoder.widths=['${width}']"],
    "values that others choose from": [
        *("experiment=heavy_tailed/mnist", "sampler=laplace", "+published_kl_reduction.laplace=sum")
    ],
    "Hydra's own": ["+hydra.job.env_set.A=1"],
}


@pytest.mark.parametrize("case", READ)
def test_what_is_read_may_be_added(case):
    with initialized(CONF):
        config, choices = without_hydra(compose("train", READ[case], return_hydra_config=True))
        assert resolve(config, READ[case], choices)["seed"] == 0


OWN_SAMPLER = """
from torch.distributions import Normal
from vae_hydra.model.samplers import Sampler

class Tilted(Sampler):
    def __init__(self, positive, prior, tilt=0.0, options=None):
        super().__init__(positive, prior)
"""
OWN_OPTION = """
name: tilted
_target_: own_samplers.Tilted
positive: softplus
options: {any: 1, thing: {at: all}}
prior: {_target_: torch.distributions.Normal, loc: 0.0, scale: 1.0}
"""


@pytest.mark.parametrize(
    ("files", "typed", "message"),
    [
        ({"sampler/tilted": OWN_OPTION}, ["sampler=tilted", "+sampler.tilt=2"], None),
        ({"sampler/tilted": OWN_OPTION + "tillt: 3"}, ["sampler=tilted"], "did you mean sampler.tilt?"),
        ({"experiment/mine": "# @package _global_\nmodel: {latent_dim: 3}"}, ["experiment=mine"], None),
        ({"experiment/mine": "# @package _global_\nmodel: {latentdim: 3}"}, ["experiment=mine"], "model.latent_dim?"),
        (
            {"model/mine": "defaults: [mlp]\nwide: 9\nencoder: {widths: ['${model.wide}']}"},
            ["model=mine"],
            None,
        ),
        ({"model/mine": "defaults: [mlp]\nwide: 9"}, ["model=mine"], "model.wide: nothing reads this option"),
    ],
)
def test_files_of_ones_own(files, typed, message, tmp_path, monkeypatch):
    (tmp_path / "own_samplers.py").write_text(OWN_SAMPLER)
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in files.items():
        path = tmp_path / "conf" / f"{name}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    overrides = [f"hydra.searchpath=[file://{tmp_path / 'conf'}]", *typed]
    with initialized(CONF):
        config, choices = without_hydra(compose("train", overrides, return_hydra_config=True))
        if message is None:
            resolve(config, overrides, choices)
        else:
            with pytest.raises(ValueError, match=message.replace("?", r"\?")):
                resolve(config, overrides, choices)


SEARCH_FILES = {
    "broken": ("space: [\n a: {", "search/broken.yaml cannot be read as options: while parsing"),
    "binary": ("a: \udcff\udcfe", "search/binary.yaml cannot be read as options: 'utf-8' codec"),
    "endless": ("a: &x [*x]", "search/endless.yaml cannot be read as options"),
    "scalar": ("defaults: 5", "Invalid defaults list"),
    "empty": ("", "search has no seed; begin its file with defaults: [_common, _self_]"),
    "a_list": ("- a\n- b", "search must be a group of options, but got ['a', 'b']"),
    "slip": (
        "defaults: [_common, _self_]\nwarm: 3",
        "search.warm: nothing reads this option; did you mean search.warmup?",
    ),
    "choice": ("defaults: [_common, _self_]\nspace: {model: {latent_dim: {choices: 3}}}", "must be a list of values"),
}


@pytest.mark.parametrize("name", SEARCH_FILES)
def test_search_files_that_are_wrong(name, run_command, tmp_path):
    text, message = SEARCH_FILES[name]
    path = tmp_path / "conf" / "search" / f"{name}.yaml"
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    code, said = run_command(search, "--config-dir", str(tmp_path / "conf"), f"search={name}")
    assert code != 0
    assert message in said
    assert "Traceback" not in said
    assert len(said.splitlines()) <= 25


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run to ask things of; its data are digits."""
    place = tmp_path_factory.mktemp("runs")
    overrides = ["trainer.max_epochs=1", TRAINED_ON, "callbacks.figures.enabled=false"]
    config = composed(*overrides, "dataset.fraction=0.1", f"output_dir={place}")
    train.train(config)
    (found,) = place.glob("digits-*")
    return found


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("generate", ["n=1000000000000"], "n=1,000,000,000,000 examples need 592,000.0 GB of memory"),
        ("generate", ["components=100000"], "components must be an integer from 1 to 2000, but got 100000"),
        ("generate", ["trust=5"], "trust must be a list of packages, as in trust=[my_samplers], but got 5"),
        ("generate", ["accelerator=tpu"], "accelerator must be one of auto, cpu, gpu"),
        ("evaluate", ["dataset_root=5"], "dataset_root must be a folder, but got 5"),
    ],
)
def test_values_that_a_saved_run_cannot_be_asked_for(name, arguments, message, folder, run_command, tmp_path):
    code, text = run_command(import_module(f"vae_hydra.{name}"), f"run={folder}", *arguments)
    assert code == 2
    assert message in text
    assert "Traceback" not in text
    assert not (folder / "generated").exists()
    assert not (folder / "evaluations").exists()


def test_data_that_need_no_folder_are_opened_with_a_warning(folder, caplog):
    with caplog.at_level(logging.WARNING):
        data_of(open_run(folder, accelerator=DEVICE), "/nonexistent")
    assert "dataset_root=/nonexistent is not used: dataset=digits reads no files" in caplog.text


def test_a_folder_of_data_that_does_not_exist_is_named(table_file, tmp_path, caplog):
    run = untrained(tmp_path / "runs", "dataset=table", f"dataset.path={table_file}")
    table_file.unlink()
    with pytest.raises(ValueError, match="table"):
        data_of(open_run(run.folder, accelerator=DEVICE), "/nonexistent")
    assert "dataset_root=/nonexistent is no existing folder" in caplog.text


def test_a_stack_without_a_sweep_is_warned_of(run_command, tmp_path):
    code, text = run_command(import_module("vae_hydra.train"), *QUICK, "debug=one_step", "stack=32")
    assert code == 0
    assert "stack=32 is for the runs of a sweep: add -m; this run is trained alone" in text


def test_a_report_of_no_metrics(folder, run_command):
    code, text = run_command(import_module("vae_hydra.report"), str(folder), "metrics=[]")
    assert code == 2
    assert "metrics must be a list of at least one name; metrics=['*'] takes all there are" in text


def test_a_run_from_another_takes_options_of_that_runs_parts(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for added, message in (("+sampler.kll=closed", "did you mean sampler.kl"), ("+optimizer.amsgrad=true", None)):
        overrides = [f"init_from={copy}", added]
        with initialized(CONF):
            config, choices = without_hydra(compose("train", overrides, return_hydra_config=True))
            if message is None:
                assert resolve(config, overrides, choices)["optimizer"]["amsgrad"] is True
            else:
                with pytest.raises(ValueError, match=message):
                    resolve(config, overrides, choices)


def test_more_processes_than_cores_are_said(caplog):
    with caplog.at_level(logging.WARNING):
        warn_of_busy_cores(1, "cpu")
        warn_of_busy_cores(10_000, "cuda")
        assert not caplog.text
        warn_of_busy_cores(10_000, "cpu")
    assert "trainer.devices=10000" in caplog.text


@pytest.mark.parametrize(
    ("typed", "ordered"),
    [
        (["sampler=normal", "-m", "seed=0,1"], ["-m", "sampler=normal", "seed=0,1"]),
        (["a=1", "--config-dir", "x", "b=2"], ["--config-dir", "x", "a=1", "b=2"]),
        (["a=1", "--info", "b=2"], ["--info", "a=1", "b=2"]),
        (["sweep=a", "sweep=a"], ["--multirun", "sweep=a", "sweep=a"]),
        (["sweep=a", "--cfg", "job"], ["--cfg", "job", "sweep=a"]),
    ],
)
def test_flags_may_come_after_options(typed, ordered):
    assert flags_first(typed) == ordered


def test_a_sweep_may_be_asked_for_after_options(run_command):
    code, text = run_command(train, "sampler=normal", "-m", "model.latent_dim=0", "seed=0,1")
    assert "unrecognized arguments" not in text
    assert sys.argv[1] == "-m"
    assert code == 1
    assert "2 runs" in text
