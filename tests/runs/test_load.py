"""Loading: a run or a bare checkpoint becomes its model again, and nothing else gets in."""

from __future__ import annotations

import copy
import pickle
import shutil
from pathlib import Path

import pytest
import torch
import yaml

import vae_hydra
from tests.support.composing import CONF, QUICK, composed
from vae_hydra.runs.build import build_experiment
from vae_hydra.runs.checkpoint import read_checkpoint
from vae_hydra.runs.folder import Run
from vae_hydra.runs.saved import load_module
from vae_hydra.runs.train import train
from vae_hydra.runs.trust import check_config
from vae_hydra.training.importance import ImportanceWeighted
from vae_hydra.training.objective import ELBO


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    config = composed(*QUICK, f"output_dir={tmp_path_factory.mktemp('outputs')}", "sampler=lognormal", "noise=uniform")
    train(config)
    return Run.of(config)


@pytest.fixture
def trained(done, tmp_path):
    """A copy, to do with as one likes."""
    return Run.open(shutil.copytree(done.folder, tmp_path / "outputs" / done.name))


def altered(run: Run, change) -> str:
    """A copy of best.ckpt by itself, after ``change``."""
    checkpoint = torch.load(run.folder / "best.ckpt", weights_only=True)
    change(checkpoint)
    path = run.folder.parent / "altered.ckpt"
    torch.save(checkpoint, path)
    return str(path)


def test_a_run_is_ready_to_encode_decode_and_sample(trained):
    model = vae_hydra.load(trained.folder)
    x = torch.rand(3, 1, 8, 8)
    q = model.encode(x)
    assert isinstance(q, torch.distributions.LogNormal)
    assert model.decode(q.mean).mean.shape == (3, 1, 8, 8)
    assert model.sample(5).shape == (5, 1, 8, 8)
    assert not model.training


def test_a_checkpoint_is_enough_by_itself(trained, tmp_path):
    alone = tmp_path / "somewhere" / "model.ckpt"
    alone.parent.mkdir()
    shutil.copy(trained.folder / "last.ckpt", alone)
    from_run, from_file = vae_hydra.load(trained.folder, "last"), vae_hydra.load(alone)
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(from_run.encode(x).mean, from_file.encode(x).mean)


def test_a_checkpoint_from_before_there_were_labels_and_free_bits_loads(trained):
    def strip(checkpoint):
        description = checkpoint["vae_hydra"]
        del description["classes"]
        for key in ("condition", "classifier", "init_from", "keep_optimizer"):
            del description["config"][key]
        for key in ("fraction", "folds", "fold", "resize", "binarise"):
            del description["config"]["dataset"][key]
        del description["config"]["objective"]["free_bits"]

    x = torch.rand(2, 1, 8, 8)
    old, new = vae_hydra.load(altered(trained, strip)), vae_hydra.load(trained.folder, "best")
    assert torch.equal(old.encode(x).mean, new.encode(x).mean)


@pytest.mark.parametrize("bound", ["elbo", "iwae", "dreg"])
def test_a_checkpoint_from_before_objectives_were_classes_loads(trained, bound):
    before = {"kl_reduction": "sum", "normalise": False, "free_bits": 0.0, "bound": bound, "draws": 4}
    path = altered(trained, lambda checkpoint: checkpoint["vae_hydra"]["config"].update(objective=before))
    objective = load_module(path).objective
    if bound == "elbo":
        assert isinstance(objective, ELBO)
    else:
        assert isinstance(objective, ImportanceWeighted)
        assert (objective.draws, objective.groups, objective.doubly) == (4, 1, bound == "dreg")


def test_a_moved_run_still_loads(trained, tmp_path):
    moved = shutil.move(trained.folder, tmp_path / "elsewhere")
    assert vae_hydra.load(moved).sample(1).shape == (1, 1, 8, 8)


def test_weights_are_those_of_training(configure):
    config = configure()
    train(config)
    model = vae_hydra.load(Run.of(config).folder)
    fresh = build_experiment(config).module.vae
    saved = torch.load(Run.of(config).folder / "best.ckpt", weights_only=True)["state_dict"]
    for name, value in model.state_dict().items():
        assert torch.equal(value, saved[f"vae.{name}"])
    assert not torch.equal(model.encoder.layers[0].weight, fresh.encoder.layers[0].weight)


PLACES = [("model", "encoder"), ("beta",), ("optimizer",), ("dataset", "source")]


@pytest.fixture(scope="module")
def described(done):
    """The configuration in a checkpoint."""
    return torch.load(done.folder / "last.ckpt", weights_only=True)["vae_hydra"]["config"]


def plant(config, place, target) -> None:
    for key in place:
        config = config[key]
    config["_target_"] = target


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "subprocess.Popen",
        "builtins.eval",
        # Reached through a module that is allowed, defined in one that is not.
        "vae_hydra.data.datamodule.np.save",
        "torch.nn.modules.module.functools.partial",
        # Ours, but able to write files.
        "vae_hydra.base.files.write_text",
        "vae_hydra.runs.train.train",
        "vae_hydra.data.sources.digits.load_digits.__class__",
        # In an allowed package, and able to import anything.
        "torch.nn.attention._fa3._fa3_import_module",
        "torch.nn.init.normal_",
        "vae_hydra.model.networks.nowhere",
        "torch.optimistic.Adam",
        7,
    ],
)
@pytest.mark.parametrize("place", PLACES)
def test_a_target_outside_the_allow_list_is_refused(described, target, place):
    config = copy.deepcopy(described)
    plant(config, place, target)
    with pytest.raises(ValueError, match="names the target .*, which is none of the models.*trust"):
        check_config(config)


DATASETS = [yaml.safe_load(file.read_text()) for file in sorted(Path(CONF, "dataset").glob("[!_]*.yaml"))]
SOURCES = sorted({dataset["source"]["_target_"] for dataset in DATASETS if "source" in dataset})


@pytest.mark.parametrize("source", SOURCES)
def test_functions_that_provide_data_are_allowed_where_data_come_from_and_nowhere_else(described, source):
    check_config({**described, "dataset": {**described["dataset"], "source": {"_target_": source}}})
    nested = {"dataset": {"source": {"nested": {"_target_": source}}}}
    for config in ({"dataset": {"_target_": source}}, {"source": {"_target_": source}}, nested):
        with pytest.raises(ValueError, match=f"names the target '{source}'"):
            check_config(config)


@pytest.mark.parametrize(
    "target",
    [
        # Names that the modules of sources import, or keep for themselves.
        "vae_hydra.data.sources.digits.torch.load",
        "vae_hydra.data.sources.digits.Source",
        "vae_hydra.data.sources.torchvision_images.Path",
        "vae_hydra.data.sources.torchvision_images.check_idx",
        "vae_hydra.data.sources.torchvision_images._check_idx_files",
        "vae_hydra.data.sources.digits.load_digits.__globals__",
        "vae_hydra.data.sources.student_t_mixture.np.load",
        # A module and a package are no functions.
        "vae_hydra.data.sources.digits",
        "vae_hydra.data.sources",
        # Other functions of the package, and modules that a stranger may have put on the path.
        "vae_hydra.data.image_folder.write_image_folder",
        "vae_hydra.data.sources_of_others.load",
    ],
)
def test_nothing_else_of_their_modules_is_a_source(described, target):
    config = copy.deepcopy(described)
    plant(config, ("dataset", "source"), target)
    with pytest.raises(ValueError, match="names the target .*, which is none of the models.*trust"):
        check_config(config)


@pytest.mark.parametrize("place", PLACES)
def test_targets_of_a_checkpoint_are_checked(trained, place):
    damaged = altered(trained, lambda checkpoint: plant(checkpoint["vae_hydra"]["config"], place, "os.system"))
    with pytest.raises(ValueError, match="names the target 'os.system', which is none of the models.*trust"):
        vae_hydra.load(damaged)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("${oc.create:{_target_: sympy.sympify, a: '1'}}", "interpolation"),
        ({"_target_": "${oc.env:HOME}"}, "names the target"),
        ({"nested": [{"deep": "x ${oc.env:HOME}"}]}, "interpolation"),
        ({"_target_": "torch.distributions.Normal", "_args_": [0.0, 1.0]}, "the key '_args_'"),
        ({"_target_": "torch.distributions.Normal", "${oc.env:HOME}": 0.0}, "the key"),
        ({3: 4}, "the key 3"),
    ],
)
def test_nothing_becomes_a_target_after_it_was_checked(trained, value, message):
    def plant(checkpoint):
        checkpoint["vae_hydra"]["config"]["sampler"]["prior"] = value

    with pytest.raises(ValueError, match=f"{message}.*trust"):
        vae_hydra.load(altered(trained, plant))


def test_a_configuration_without_a_model_is_refused(trained):
    with pytest.raises(ValueError, match="model must be a group of options, but got None"):
        vae_hydra.load(altered(trained, lambda checkpoint: checkpoint["vae_hydra"]["config"].pop("model")))


def test_a_checkpoint_without_weights_is_refused(trained):
    with pytest.raises(ValueError, match="another architecture"):
        vae_hydra.load(altered(trained, lambda checkpoint: checkpoint["state_dict"].clear()))
    with pytest.raises(ValueError, match="was not written by vae_hydra"):
        vae_hydra.load(altered(trained, lambda checkpoint: checkpoint.pop("state_dict")))


@pytest.mark.parametrize("trust", ["collections", ["collections"]])
def test_trust_admits_a_package(trust):
    check_config({"a": [{"_target_": "collections.OrderedDict"}]}, trust)
    with pytest.raises(ValueError, match=r"collections\.OrderedDict"):
        check_config({"a": [{"_target_": "collections.OrderedDict"}]})


def test_weights_of_another_architecture_are_refused(trained):
    def widen(checkpoint):
        checkpoint["vae_hydra"]["config"]["model"]["encoder"]["widths"] = [7]

    with pytest.raises(ValueError, match="weights are of another architecture"):
        vae_hydra.load(altered(trained, widen))


def test_a_truncated_checkpoint_is_refused(trained):
    path = trained.folder / "best.ckpt"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"best.ckpt cannot be read as a checkpoint; it is damaged or not one"):
        vae_hydra.load(trained.folder)


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("code from a checkpoint ran",))

    path = tmp_path / "bomb.ckpt"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
        vae_hydra.load(path)


def test_checkpoints_of_other_programs_are_refused(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match="was not written by vae_hydra"):
        vae_hydra.load(tmp_path / "other.ckpt")


def test_what_is_no_run_is_refused(tmp_path, trained):
    with pytest.raises(ValueError, match=r"run=.*nothing is not a run: there is no .*run.json"):
        vae_hydra.load(tmp_path / "nothing")
    with pytest.raises(ValueError, match=f"runs there: .*{trained.name}"):
        vae_hydra.load(trained.folder.parent / "typo")
    with pytest.raises(ValueError, match="checkpoint must be one of best, last, but got 'first'"):
        vae_hydra.load(trained.folder, "first")
    (trained.folder / "best.ckpt").unlink()
    with pytest.raises(ValueError, match="has no best.ckpt"):
        vae_hydra.load(trained.folder, "best")
    with pytest.raises(ValueError, match="there is no checkpoint"):
        read_checkpoint(trained.folder / "best.ckpt")


def test_checkpoints_hold_no_path_of_this_machine(trained, tmp_path):
    content = (trained.folder / "last.ckpt").read_bytes()
    assert str(tmp_path).encode() not in content
