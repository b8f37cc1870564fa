"""Names of runs: those that runs have today stay, and a new option at its default changes none."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.support.composing import CONF, composed
from vae_hydra.base.nested import put
from vae_hydra.runs import later_options
from vae_hydra.runs.identity import identifying_options, identity, run_name
from vae_hydra.runs.later_options import FIXED_DEFAULTS, later_defaults
from vae_hydra.runs.upgrade import upgrade
from vae_hydra.studies.reporting import options as reported

# Options of the command line → the name of the run, from before there was a record of the first options.
NAMES = {
    "": "digits-none-normal-s0-3fc700dc",
    "sampler=deterministic": "digits-none-deterministic-s0-bdeaef62",
    "sampler=gamma": "digits-none-gamma-s0-9ddf7017",
    "sampler=inverse_gaussian": "digits-none-inverse_gaussian-s0-1ee7579f",
    "sampler=laplace": "digits-none-laplace-s0-f1c4d0f6",
    "sampler=lognormal": "digits-none-lognormal-s0-713f70fe",
    "sampler=student_t": "digits-none-student_t-s0-2281ab2f",
    "sampler=weibull": "digits-none-weibull-s0-306120e5",
    "noise=inverse_gaussian": "digits-inverse_gaussian-normal-s0-a5be1321",
    "noise=lognormal": "digits-lognormal-normal-s0-6456348c",
    "noise=normal": "digits-normal-normal-s0-b16ca033",
    "noise=uniform": "digits-uniform-normal-s0-a1f16bc5",
    "dataset=fashion_mnist": "fashion_mnist-none-normal-s0-e9145eb8",
    "dataset=inverse_gaussian_2d": "inverse_gaussian_2d-none-normal-s0-d251cfab",
    "dataset=lognormal_2d": "lognormal_2d-none-normal-s0-86e7f2f0",
    "dataset=mnist": "mnist-none-normal-s0-e579cfe3",
    "dataset=mnist_exp": "mnist_exp-none-normal-s0-6bb19f90",
    "dataset=student_t_mixture": "student_t_mixture-none-normal-s0-81215485",
    "likelihood=bernoulli": "digits-none-normal-s0-84d65edb",
    "likelihood=continuous_bernoulli": "digits-none-normal-s0-fa286d95",
    "likelihood=huber": "digits-none-normal-s0-1301889b",
    "likelihood=laplace": "digits-none-normal-s0-30b58220",
    "likelihood=log_cosh": "digits-none-normal-s0-33841a0a",
    "likelihood=student_t": "digits-none-normal-s0-c5e75b8f",
    "beta=cosine": "digits-none-normal-s0-93c9ae4a",
    "beta=cyclical": "digits-none-normal-s0-30514565",
    "beta=linear": "digits-none-normal-s0-2b2c31f9",
    "beta=sigmoid": "digits-none-normal-s0-8ce967a2",
    "model=conv": "digits-none-normal-s0-14717223",
    "model=conv64": "digits-none-normal-s0-0416c2f8",
    "model=conv_architect": "digits-none-normal-s0-aefb9185",
    "model=mlp_tapered": "digits-none-normal-s0-b353a532",
    "condition=both": "digits-none-normal-s0-132076d9",
    "condition=encoder": "digits-none-normal-s0-343de430",
    "classifier=mlp": "digits-none-normal-s0-6ad5a8a4",
    "optimizer=adamw": "digits-none-normal-s0-9786a50f",
    "scheduler=cosine": "digits-none-normal-s0-651d5a07",
    "scheduler=multi_step": "digits-none-normal-s0-1fa659f8",
    "scheduler=plateau": "digits-none-normal-s0-e87075cc",
    "scheduler=step": "digits-none-normal-s0-58faa48b",
    "callbacks=early_stopping": "digits-none-normal-s0-c877ac04",
    "experiment=heavy_tailed/mnist": "mnist-none-normal-s0-52dc22b6",
    "experiment=my_pytorch_kit/semi_supervised": "mnist-none-normal-s0-9d5c2280",
    "experiment=pythae/mlp": "mnist-none-normal-s0-ebdba074",
    "experiment=vae_understanding/ae_vs_vae": "mnist-none-normal-s0-f353ccb4",
    "experiment=tails/student_t_mixture": "student_t_mixture-none-normal-s0-51d15f43",
    "seed=3": "digits-none-normal-s3-96686f9a",
    "model.activation=elu": "digits-none-normal-s0-834e98f7",
    "trainer.max_epochs=7": "digits-none-normal-s0-f7f3ce79",
    "objective.normalise=true": "digits-none-normal-s0-d80668ec",
    "~callbacks.figures": "digits-none-normal-s0-76e066cf",
    "+trainer.limit_train_batches=3": "digits-none-normal-s0-578ba1bd",
    "model=conv model.kernel=3": "digits-none-normal-s0-411c26ef",
    "model=conv model.residual_blocks=2": "digits-none-normal-s0-9370a9b7",
    "model=conv model.kernel=4 model.encoder.kernel=5": "digits-none-normal-s0-4e78afcc",
    "model=conv64 model.encoder.kernel=4": "digits-none-normal-s0-6cc46278",
    "model=conv64 model.encoder.kernel=5": "digits-none-normal-s0-19f93470",
    "model=conv model.decoder.kernel=3": "digits-none-normal-s0-766b8504",
    "dataset.fraction=0.5": "digits-none-normal-s0-1c4aece9",
    "dataset.folds=10": "digits-none-normal-s0-4d216fbb",
    "dataset.fold=2": "digits-none-normal-s0-ee342749",
    "dataset.resize=16": "digits-none-normal-s0-ac7db77e",
    "dataset.binarise=static": "digits-none-normal-s0-ebea06e6",
    "likelihood.min_scale=0.01": "digits-none-normal-s0-2c160f69",
    "callbacks.checkpoints.after_annealing=true": "digits-none-normal-s0-197904e0",
    "callbacks.figures.epochs=[0,10]": "digits-none-normal-s0-b6db6ef7",
    "callbacks.figures.show=all": "digits-none-normal-s0-4bdc1e7c",
    "objective.free_bits=0.1": "digits-none-normal-s0-bb760810",
    "objective.kl_reduction=mean": "digits-none-normal-s0-cfbd5098",
    "objective=iwae": "digits-none-normal-s0-20fd9ccc",
    "objective=iwae objective.draws=1": "digits-none-normal-s0-5936ff44",
    "objective=iwae objective.draws=8": "digits-none-normal-s0-62f3651a",
    "objective=dreg": "digits-none-normal-s0-2851a562",
    "objective=dreg objective.draws=4": "digits-none-normal-s0-69b18753",
    "keep_optimizer=true init_from=a/b": "digits-none-normal-s0-1d0c04e3",
    "init_from=a/best.ckpt": "digits-none-normal-s0-bba4a928",
    "+mine.kernel=4": "digits-none-normal-s0-4c115c94",
    "+sampler.kernel=4": "digits-none-normal-s0-ffe9bab9",
    "+extra={}": "digits-none-normal-s0-d8698aab",
}
DEFAULT = NAMES[""]
# Options that are no part of a name, or stand at their defaults.
WITHOUT_EFFECT = (
    "threads=3",
    "output_dir=x",
    "callbacks.progress.refresh_rate=3",
    "~callbacks.histograms",
    "+test_noises.extra={name: extra}",
    "dataset.fraction=1",
    "objective.free_bits=0",
    "~objective.free_bits",
    "~condition",
    "logger=tensorboard",
)
# The defaults of the options that came later.
LATER_DEFAULTS = {
    "condition": {},
    "classifier": {},
    "init_from": None,
    "keep_optimizer": False,
    "objective.free_bits": 0.0,
    "objective.bound": "elbo",
    "objective.draws": 1,
    "dataset.fraction": 1.0,
    "dataset.folds": 5,
    "dataset.fold": None,
    "dataset.resize": None,
    "dataset.binarise": "none",
    "likelihood.min_scale": 0.001,
    "callbacks.checkpoints.after_annealing": False,
    "callbacks.figures.epochs": [],
    "callbacks.figures.show": "default",
    "model.kernel": 4,
    "model.encoder.kernel": 4,
    "model.decoder.kernel": 4,
    "model.residual_blocks": 0,
    "model.encoder.residual_blocks": 0,
    "model.decoder.residual_blocks": 0,
}


@pytest.mark.parametrize("overrides", NAMES)
def test_the_names_of_runs_stay(overrides):
    assert run_name(composed(*overrides.split())) == NAMES[overrides]


# Objectives of runs from before they were classes, as those runs saved them → as they are chosen today.
SAVED_OBJECTIVES = {
    (): {"kl_reduction": "sum", "normalise": False},
    ("objective.free_bits=0.1",): {"kl_reduction": "sum", "normalise": False, "free_bits": 0.1},
    ("objective.kl_reduction=mean",): {"kl_reduction": "mean", "normalise": False, "bound": "elbo", "draws": 1},
    ("objective=iwae",): {"kl_reduction": "sum", "normalise": False, "free_bits": 0.0, "bound": "iwae", "draws": 16},
    ("objective=dreg", "objective.draws=4"): {"kl_reduction": "sum", "normalise": False, "bound": "dreg", "draws": 4},
}


@pytest.mark.parametrize(("overrides", "saved"), SAVED_OBJECTIVES.items())
def test_an_older_run_has_the_name_and_the_objective_of_today(overrides, saved):
    config = composed(*overrides)
    older = {**config, "objective": saved}
    assert run_name(older) == run_name(upgrade(older)) == run_name(config)
    today = {"free_bits": 0.0, **upgrade(older)["objective"]}
    assert {**today, **config["objective"]} == today


@pytest.mark.parametrize("override", WITHOUT_EFFECT)
def test_other_options_change_no_name(override):
    assert run_name(composed(override)) == DEFAULT


def test_defaults_that_names_depend_on_stay():
    assert FIXED_DEFAULTS == LATER_DEFAULTS
    assert later_defaults().items() >= LATER_DEFAULTS.items()


@pytest.fixture
def new_conf(tmp_path, monkeypatch):
    """Add options to files of a copy of our configuration: new_conf(file, {path: value})."""
    folder = tmp_path / "conf"
    shutil.copytree(CONF, folder)
    monkeypatch.setattr(later_options, "config_folder", lambda: folder)

    def add(name: str, options: dict) -> None:
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        content = (yaml.safe_load(file.read_text()) if file.is_file() else None) or {}
        for path, value in options.items():
            put(content, path, value)
        file.write_text(yaml.safe_dump(content, sort_keys=False))
        later_defaults.cache_clear()

    yield add
    monkeypatch.undo()
    later_defaults.cache_clear()


def with_options(config: dict, **options) -> dict:
    changed = copy.deepcopy(config)
    for path, value in options.items():
        put(changed, path.replace("__", "."), value)
    return changed


@pytest.mark.parametrize(
    ("file", "path", "overrides"),
    [
        ("train.yaml", "brand_new", ()),
        ("objective/elbo.yaml", "objective.brand_new", ()),
        ("model/mlp.yaml", "model.brand_new", ()),
        ("model/conv.yaml", "model.brand_new", ("model=conv",)),
        ("dataset/_common.yaml", "dataset.brand_new", ("dataset=mnist_exp",)),
        ("sampler/student_t.yaml", "sampler.prior.brand_new", ("sampler=student_t",)),
        ("condition/both.yaml", "condition.brand_new", ("condition=both",)),
        ("trainer/default.yaml", "trainer.brand_new", ()),
    ],
)
def test_a_new_option_counts_only_off_its_default(file, path, overrides, new_conf):
    group = file.partition("/")[0]
    new_conf(file, {path.removeprefix(f"{group}."): 0.5})
    config = composed(*overrides)
    name = run_name(config)
    key = path.replace(".", "__")
    assert run_name(with_options(config, **{key: 0.5})) == name
    assert run_name(with_options(config, **{key: 0.25})) != name
    assert reported.value({}, path) == 0.5
    assert reported.value({path: 0.25}, path) == 0.25


def test_a_default_that_changes_in_a_file_changes_names_only_if_it_is_not_fixed(new_conf, monkeypatch):
    config = composed()
    half, whole = (with_options(config, dataset__fraction=value) for value in (0.5, 1.0))
    names = run_name(half), run_name(whole)
    new_conf("dataset/_common.yaml", {"fraction": 0.5, "brand_new": 1})
    assert (run_name(half), run_name(whole)) == names
    first = with_options(config, dataset__brand_new=1)
    name = run_name(first)
    new_conf("dataset/_common.yaml", {"brand_new": 2})
    assert run_name(first) != name
    assert run_name(with_options(config, dataset__brand_new=2)) == name
    # So the old default is fixed before the file changes.
    monkeypatch.setitem(FIXED_DEFAULTS, "dataset.brand_new", 1)
    later_defaults.cache_clear()
    assert run_name(first) == name
    assert run_name(with_options(config, dataset__brand_new=2)) != name


def test_a_copy_of_a_new_option_counts_as_the_option_does(new_conf):
    new_conf("model/conv.yaml", {"dropout": 1e-3, "encoder.dropout": "${model.dropout}"})
    config = composed("model=conv")
    name = run_name(config)
    assert run_name(with_options(config, model__dropout=0.001, model__encoder__dropout=0.001)) == name
    assert run_name(with_options(config, model__dropout=0.1, model__encoder__dropout=0.1)) != name


def test_a_new_group_at_its_default_changes_no_name_and_its_other_options_tell_runs_apart(new_conf):
    new_conf("augment/none.yaml", {})
    new_conf("augment/crop.yaml", {"size": 3})
    defaults = yaml.safe_load(Path(CONF, "train.yaml").read_text())["defaults"]
    new_conf("train.yaml", {"defaults": [*defaults, {"augment": "none"}]})
    (plain, none, crop) = (composed(), {**composed(), "augment": {}}, {**composed(), "augment": {"size": 3}})
    assert identity(plain) == identity(none) != identity(crop)


def test_a_new_part_of_every_run_leaves_no_trace(new_conf):
    new_conf("callbacks/default.yaml", {"guard": {"_target_": "vae_hydra.training.callbacks.Guard", "every": 2}})
    config = composed()
    guard = {"_target_": "vae_hydra.training.callbacks.Guard", "every": 2}
    assert identifying_options(with_options(config, callbacks__guard=guard)) == identifying_options(config)
    assert identity(with_options(config, callbacks__guard={**guard, "every": 3})) != identity(config)


def test_a_new_file_of_a_group_is_another_run(new_conf):
    new_conf("trainer/fast.yaml", {"max_epochs": 100, "benchmark": True})
    config = composed()
    assert identity(with_options(config, trainer__benchmark=True)) != identity(config)


def test_numbers_of_more_than_64_bits_stay_readable():
    """A plan of a sweep is JSON, which is refused with such integers."""
    config = composed()
    names = {identity(with_options(config, optimizer__lr=value)) for value in (1e30, 10**30)}
    assert len(names) == 1
    assert json.dumps(identifying_options(with_options(config, optimizer__lr=1e30))["optimizer"]["lr"]) == "1e+30"


def test_equal_numbers_make_one_name_and_lists_hold_classes_too():
    config = composed("model=conv")
    assert identity(with_options(config, optimizer__lr=1)) == identity(with_options(config, optimizer__lr=1.0))
    now, then = ("vae_hydra.model.samplers.NormalSampler", "vae_hydra.samplers.NormalSampler")
    assert identity({**config, "extra": [{"_target_": now}]}) == identity({**config, "extra": [{"_target_": then}]})
