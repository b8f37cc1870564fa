"""Fixtures that several test modules share.

Large libraries are imported where they are used: the process that hands tests out to others needs none of them.
"""

from __future__ import annotations

import dataclasses
import functools
import gc
import os
import pickle
import re
import signal
import sys
from pathlib import Path

import pytest
from hydra._internal import config_loader_impl as loading
from hydra._internal import defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra.core.default_element import ConfigDefault, GroupDefault
from omegaconf import OmegaConf

from tests.support.composing import CONF, QUICK, REPOSITORY, composed
from vae_hydra.base.hydra_versions import HAS_WHITELIST


def pytest_collection_finish(session):
    """Leave a million objects of libraries and tests out of what Python searches for garbage: a sixth of the time."""
    gc.collect()
    gc.freeze()
    # A search after each 700 new objects, Python's default, takes a twentieth of the time.
    gc.set_threshold(50_000, 20, 20)


def pytest_sessionfinish(session):
    # Otherwise libraries complain of objects that are left.
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def _threads():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _files_of_options_are_parsed_once():
    """Hydra parses each of them anew for every configuration, a quarter of what it takes to compose one."""
    load, parsed = OmegaConf.load, {}

    def load_once(file):
        path = Path(getattr(file, "name", file))
        key = (path, path.stat().st_mtime_ns, path.stat().st_size) if path.is_relative_to(CONF) else None
        if key is None:
            return load(file)
        if key not in parsed:
            parsed[key] = pickle.dumps(load(file))
        return pickle.loads(parsed[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OmegaConf, "load", staticmethod(load_once))
        yield


@pytest.fixture(scope="session", autouse=True)
def _hydra_composes_without_detours():
    """Hydra 1.3 prepares for interpolations in every list of defaults, a sixth of the time of composing.

    And it composes a configuration once more to look for hydra.mode, which groups of four names alone set.
    """
    if HAS_WHITELIST:
        yield
        return

    def resolve(self, known):
        pytest.fail(f"{self.get_config_path()}: an interpolation in a list of defaults, which this fixture excludes")

    look, setting = Hydra.get_mode, re.compile(r"\+*(sweep|experiment|debug|hydra)\b")

    def get_mode(self, config_name, overrides):
        return look(self, config_name, overrides) if any(map(setting.match, overrides)) else None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(defaults_list, "_create_interpolation_map", lambda *arguments: OmegaConf.create())
        for kind in (ConfigDefault, GroupDefault):
            patch.setattr(kind, "resolve_interpolation", resolve)
        patch.setattr(Hydra, "get_mode", get_mode)
        yield


@pytest.fixture(scope="session", autouse=True)
def _equal_choices_of_groups_are_composed_once():
    """Commands differ more in values than in groups, and to find and merge the files of groups takes the time."""
    if HAS_WHITELIST:
        yield
        return
    choose, merge = loading.create_defaults_list, ConfigLoaderImpl._compose_config_from_defaults_list
    lists: dict = {}
    configs: dict = {}

    def are_ours(repo):
        paths = [source.path for source in repo.get_sources() if source.scheme() == "file"]
        return all(Path(path).is_relative_to(CONF) for path in paths)

    def choose_once(repo, config_name, overrides_list, **rest):
        if not are_ours(repo):
            return choose(repo, config_name, overrides_list, **rest)
        values = defaults_list.Overrides(repo, overrides_list).config_overrides
        groups = [one.input_line for one in overrides_list if one not in values and not one.is_sweep_override()]
        key = (config_name, *groups, *rest.items())
        if key not in lists:
            lists[key] = choose(repo, config_name, overrides_list, **rest)
        return dataclasses.replace(lists[key], config_overrides=values)

    def merge_once(self, defaults, repo):
        if not are_ours(repo):
            return merge(self, defaults, repo)
        key = tuple(map(repr, defaults))
        if key not in configs:
            configs[key] = pickle.dumps(merge(self, defaults, repo))
        return pickle.loads(configs[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "create_defaults_list", choose_once)
        patch.setattr(ConfigLoaderImpl, "_compose_config_from_defaults_list", merge_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def _files_need_not_outlive_a_power_cut():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _digits_are_read_once():
    """scikit-learn reads them from text each time, a third of what it takes to build a model and its data."""
    from sklearn import datasets

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "load_digits", functools.cache(datasets.load_digits))
        yield


@pytest.fixture(autouse=True)
def _seed():
    import torch

    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _distributions_check_arguments():
    """torch.compile and torch.export switch that off for all later tests of a process."""
    yield
    import torch

    torch.distributions.Distribution.set_default_validate_args(True)


@pytest.fixture
def configure(tmp_path):
    """``composed`` with small budgets and an output folder of its own: configure("sampler=lognormal", …)."""

    def make(*overrides: str, name: str = "train") -> dict:
        own = [*QUICK, f"output_dir={tmp_path / 'outputs'}"] if name == "train" else []
        return composed(*own, *overrides, name=name)

    return make


@pytest.fixture
def image_files(tmp_path, monkeypatch) -> str:
    """A root with small files of KMNIST, EMNIST, SVHN, CIFAR-10 and CelebA."""
    import torchvision

    from tests.support.image_files import write_all

    monkeypatch.setenv("VAE_HYDRA_CACHE", str(tmp_path / "cache"))
    # torchvision compares their checksums with those of the real files.
    monkeypatch.setattr(torchvision.datasets.SVHN, "_check_integrity", lambda self: True)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr(torchvision.datasets.cifar, "check_integrity", lambda *arguments: True)
    root = tmp_path / "images"
    root.mkdir()
    write_all(root)
    return str(root)


@pytest.fixture
def picture_folder(tmp_path, monkeypatch) -> Path:
    """A folder of 30 colour images of each of two classes."""
    from tests.support.image_files import write_pictures

    monkeypatch.setenv("VAE_HYDRA_CACHE", str(tmp_path / "cache"))
    for seed, name in enumerate(("cats", "dogs")):
        write_pictures(tmp_path / "pictures" / name, 30, 20, 24, 3, seed=seed)
    return tmp_path / "pictures"


@pytest.fixture
def table_file(tmp_path):
    """A table of 200 rows of three positive columns."""
    import numpy as np
    import pandas as pd

    generator = np.random.default_rng(0)
    path = tmp_path / "table.csv"
    rows = pd.DataFrame(generator.lognormal(size=(200, 3)), columns=["rain", "wind", "flow"])
    rows.to_csv(path, index=False)
    return path


@pytest.fixture
def cut_off(monkeypatch):
    """Train until a signal comes: cut_off(config, epoch, batch) → what train raised; the next start goes on.

    ``step`` is the method of the module that the signal finds running; an epoch of None is any.
    """

    def interrupt(config, epoch, batch, step="training_step", signum=signal.SIGTERM):
        from vae_hydra.runs.train import train
        from vae_hydra.training.callbacks import Interrupted
        from vae_hydra.training.module import VAEModule

        original = getattr(VAEModule, step)

        def interrupted_step(self, inputs, batch_idx):
            if epoch in (None, self.current_epoch) and batch_idx == batch:
                os.kill(os.getpid(), signum)
            return original(self, inputs, batch_idx)

        with monkeypatch.context() as patch:
            patch.setattr(VAEModule, step, interrupted_step)
            with pytest.raises(Interrupted) as stop:
                train(config)
        return stop.value

    return interrupt


@pytest.fixture
def quick_recipe(monkeypatch):
    """Classifiers of images are trained for a moment."""
    from vae_hydra.analysis.image_classifier import RECIPE

    monkeypatch.setitem(RECIPE, "steps", 20)


@pytest.fixture(scope="session")
def mnist_root() -> str:
    """Where the real MNIST is, or a skip that says so."""
    root = Path(os.environ.get("VAE_HYDRA_DATA", REPOSITORY / "data"))
    if not (root / "MNIST" / "raw" / "train-images-idx3-ubyte").is_file():
        pytest.skip(f"the real MNIST is not under {root} (VAE_HYDRA_DATA says where to look)")
    return str(root)


@pytest.fixture
def run_command(monkeypatch, capfd, tmp_path):
    """Call a command's main as the shell would: run_command(module, *arguments) → (exit code, printed text)."""

    def call(module, *arguments: str) -> tuple[int, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [f"{module.__name__}.py", *arguments])
        try:
            module.main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capfd.readouterr()
        return code, captured.out + captured.err

    return call
