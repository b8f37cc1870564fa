"""Sources: the recipe for a new dataset, what every dataset provides, and each one against its definition."""

from __future__ import annotations

import json
import typing
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
from hydra.utils import get_method

import vae_hydra
from tests.support.composing import QUICK, REPOSITORY
from tests.support.image_files import TEST, TRAIN, images
from vae_hydra import embed, evaluate, export, figures, generate, info
from vae_hydra import train as train_command
from vae_hydra.data.datamodule import DataModule
from vae_hydra.data.examples import Source
from vae_hydra.data.sources.inverse_gaussian_2d import draw_inverse_gaussian_2d
from vae_hydra.data.sources.lognormal_2d import draw_lognormal_2d
from vae_hydra.data.sources.student_t_mixture import draw_student_t_mixture
from vae_hydra.data.sources.torchvision_images import load_torchvision
from vae_hydra.runs.folder import Run
from vae_hydra.runs.nodes import make
from vae_hydra.runs.saved import data_of, open_run
from vae_hydra.runs.train import train
from vae_hydra.runs.trust import SOURCES, check_config

DATASETS = sorted(path.stem for path in (REPOSITORY / "conf" / "dataset").glob("[!_]*.yaml"))
WAVES_SOURCE = """
import torch

from vae_hydra.data.examples import Examples, Source


def draw_waves(size: int, seed: int) -> Source:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(2 * size, 3, generator=generator).sin()
    y = torch.arange(2 * size) % 2
    return Source(Examples(x[:size], y[:size]), Examples(x[size:], y[size:]))
"""
WAVES_OPTIONS = """
# Sines of uniform points
defaults: [_common, _self_]
name: waves
size: 50
source:
  _target_: my_waves.waves.draw_waves
  size: ${dataset.size}
  seed: ${dataset.seed}
"""


@pytest.fixture
def waves(tmp_path, monkeypatch):
    """A dataset of another package: its source and its options, and nothing else."""
    for name, text in {"my_waves/waves.py": WAVES_SOURCE, "conf/dataset/waves.yaml": WAVES_OPTIONS}.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "conf"


def test_a_dataset_of_another_package_needs_two_files_and_trust(waves, run_command, tmp_path):
    options = ("dataset=waves", "dataset.size=40", f"output_dir={tmp_path / 'outputs'}")
    code, text = run_command(train_command, "--config-dir", str(waves), *QUICK, *options)
    assert code == 0, text
    (folder,) = (tmp_path / "outputs").glob("waves-*")
    with pytest.raises(ValueError, match=r"names the target 'my_waves\.waves\.draw_waves'.*trust=\[PACKAGE\]"):
        vae_hydra.load(folder)
    data = data_of(open_run(folder, trust=["my_waves"]))
    assert [len(part) for part in data.splits.values()] == [36, 4, 40]
    assert vae_hydra.load(folder, trust=["my_waves"]).sample(2).shape == (2, 3)


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_dataset_is_a_trusted_source_of_its_own_file(dataset, configure, request, tmp_path):
    source = configure(f"dataset={dataset}")["dataset"]["source"]
    module, _, _ = source["_target_"].rpartition(".")
    assert module.rpartition(".")[0] == SOURCES
    check_config({"dataset": {"source": source}})
    assert typing.get_type_hints(get_method(source["_target_"]))["return"] is Source
    if dataset == "table":
        source = {**source, "path": str(request.getfixturevalue("table_file"))}
    elif dataset == "image_folder":
        source = {**source, "path": str(request.getfixturevalue("picture_folder")), "cache": str(tmp_path / "cache")}
    elif dataset in ("kmnist", "emnist", "svhn", "cifar10", "celeba"):
        source = {**source, "root": request.getfixturevalue("image_files")}
        source |= {"cache": str(tmp_path / "cache")} if "cache" in source else {}
    elif "root" in source:
        source = {**source, "root": request.getfixturevalue("mnist_root")}
    found = make("dataset.source", source)
    for part in (found.train, found.test):
        assert len(part.x) == len(part.y) > 0
        assert part.x.dtype in (torch.uint8, torch.float32)
        assert part.y.dtype == torch.int64
        assert part.y.min() == 0


@pytest.mark.parametrize(("variant", "far"), [("raw", 2.0), ("overlapping", 1.0)])
def test_lognormal_2d_has_the_published_marginals(variant, far):
    source = draw_lognormal_2d(variant, seed=0)
    assert (len(source.train), len(source.test)) == (40_000, 10_000)
    for label, centre in enumerate(([0.0, far], [far, 0.0])):
        points = source.train.x[source.train.y == label].numpy()
        for axis in (0, 1):
            exact = scipy.stats.lognorm(0.4, scale=np.exp(centre[axis]))
            assert scipy.stats.kstest(points[:, axis], exact.cdf).pvalue > 1e-3


def test_rescaled_fills_the_unit_square_and_seeds_differ():
    data = DataModule(draw_lognormal_2d("rescaled", seed=0), 100)
    assert data.value_range() == (0, 1)
    raw = [draw_lognormal_2d("raw", seed).train.x for seed in (0, 0, 1)]
    assert torch.equal(raw[0], raw[1])
    assert not torch.equal(raw[0], raw[2])


@pytest.mark.parametrize(("loc", "concentration"), [(1.0, 0.01), (1.0, 1.0), (2.0, 5.0)])
def test_inverse_gaussian_2d_has_its_marginals(loc, concentration):
    source = draw_inverse_gaussian_2d(loc, concentration, seed=0)
    assert (len(source.train), len(source.test)) == (40_000, 10_000)
    exact = scipy.stats.invgauss(loc / concentration, scale=concentration)
    for part in (source.train, source.test):
        assert part.x.dtype == torch.float32
        assert part.x.min() > 0
        assert not part.y.any()
        for axis in (0, 1):
            assert scipy.stats.kstest(part.x[:, axis].double().numpy(), exact.cdf).pvalue > 1e-3
    # Independent axes: also their ranks are uncorrelated, within five standard errors.
    assert abs(scipy.stats.spearmanr(source.train.x.numpy()).statistic) < 5 / np.sqrt(40_000)


def test_drawing_points_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    one, same, other = (draw_inverse_gaussian_2d(1.0, 0.01, seed).train.x for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


# Points that divide a distribution into as many equally probable parts, for means over it.
MIDPOINTS = (np.arange(1000) + 0.5) / 1000


@pytest.mark.parametrize("df", [5.0, 2.5])
def test_student_t_mixture_on_the_line(df):
    source = draw_student_t_mixture(1, df, 40_000, 10_000, seed=0)
    assert source.train.x.shape == (40_000, 1)
    for part in (source.train, source.test):
        for label, location in enumerate((-2.0, 2.0)):
            points = part.x[part.y == label][:, 0].double().numpy()
            assert scipy.stats.kstest(points, scipy.stats.t(df, location).cdf).pvalue > 1e-3
        assert scipy.stats.binomtest(int(part.y.sum()), len(part), 0.4).pvalue > 1e-3


@pytest.mark.parametrize("label", [0, 1])
def test_student_t_mixture_in_the_plane(label):
    """Each coordinate and their difference against the convolution of their parts, integrated over quantiles."""
    source = draw_student_t_mixture(2, 5.0, 40_000, 10_000, seed=0)
    assert scipy.stats.binomtest(int(source.train.y.sum()), 40_000, 0.3).pvalue > 1e-3
    x = source.train.x[source.train.y == label].double().numpy()
    u = scipy.stats.t(5.0, (-2.0, 2.0)[label], 2.0).ppf(MIDPOINTS)
    bend = 2 * np.sin(np.pi * u / 4)
    noise = scipy.stats.t(6)
    # Along any direction bivariate t noise is t noise; two independent ones would not be.
    cases = [(x[:, 0], u, 1), (x[:, 1], u + bend, 1), (x[:, 1] - x[:, 0], bend, np.sqrt(2))]
    for points, centres, spread in cases:
        grid = np.linspace(points.min(), points.max(), 1000)
        exact = noise.cdf((grid[:, None] - centres) / spread).mean(1)
        assert scipy.stats.kstest(points, lambda v, g=grid, e=exact: np.interp(v, g, e)).pvalue > 1e-3


def test_student_t_mixtures_are_a_function_of_the_seed():
    one, same, other = (draw_student_t_mixture(2, 5.0, 100, 50, seed) for seed in (0, 0, 1))
    assert torch.equal(one.train.x, same.train.x)
    assert torch.equal(one.test.x, same.test.x)
    assert not torch.equal(one.train.x, other.train.x)


def test_real_mnist(mnist_root):
    source = load_torchvision("MNIST", mnist_root, download=False)
    assert (source.train.x.shape, source.test.x.shape) == ((60_000, 1, 28, 28), (10_000, 1, 28, 28))
    assert source.train.x.dtype == torch.uint8
    assert source.train.x.float().mean().item() / 255 == pytest.approx(0.1307, abs=1e-4)
    assert torch.bincount(source.test.y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_real_fashion_mnist(mnist_root):
    source = load_torchvision("FashionMNIST", mnist_root, download=False)
    pixels = source.train.x.float() / 255
    assert pixels.mean().item() == pytest.approx(0.2860, abs=1e-4)
    assert pixels.std().item() == pytest.approx(0.3530, abs=1e-4)


def test_missing_files_say_how_to_get_them(tmp_path):
    with pytest.raises(ValueError, match=r"dataset.download=true.*idx files into .*/MNIST/raw.*dataset.root=FOLDER"):
        load_torchvision("MNIST", str(tmp_path / "nowhere"), download=False)
    assert not (tmp_path / "nowhere").exists()


def test_a_download_that_fails_leaves_nothing(tmp_path, monkeypatch):
    from torchvision.datasets import MNIST

    def no_network(self):
        Path(self.raw_folder).mkdir(parents=True)
        raise RuntimeError("Name or service not known")

    monkeypatch.setattr(MNIST, "download", no_network)
    with pytest.raises(ValueError, match=r"MNIST could not be downloaded\. Without a network, put .*/MNIST/raw"):
        load_torchvision("MNIST", str(tmp_path / "new"), download=True)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dimensions": 3}, "dataset.dimensions must be an integer from 1 to 2, but got 3"),
        ({"df": 0}, "dataset.df must be a number > 0, but got 0"),
        ({"train_size": 0}, "dataset.train_size must be an integer ≥ 1, but got 0"),
        ({"test_size": 1.5}, "dataset.test_size must be an integer ≥ 1, but got 1.5"),
        ({"seed": -1}, "dataset.seed must be an integer ≥ 0, but got -1"),
    ],
)
def test_bad_options_of_the_mixture_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        draw_student_t_mixture(**{"dimensions": 1, "df": 5.0, "train_size": 10, "test_size": 10, "seed": 0, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((0.0, 1.0), "dataset.loc must be a number > 0, but got 0.0"),
        ((1.0, -1), "dataset.concentration must be a number > 0, but got -1"),
    ],
)
def test_bad_options_of_the_inverse_gaussian_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        draw_inverse_gaussian_2d(*options, seed=0)


def test_unknown_variant_is_refused():
    with pytest.raises(ValueError, match="dataset.variant must be one of raw, rescaled, overlapping"):
        draw_lognormal_2d("far", seed=0)


@pytest.mark.parametrize(
    ("dataset", "variant", "shape"),
    [
        ("KMNIST", "balanced", (1, 28, 28)),
        ("EMNIST", "balanced", (1, 28, 28)),
        ("EMNIST", "letters", (1, 28, 28)),
        ("SVHN", "balanced", (3, 32, 32)),
        ("CIFAR10", "balanced", (3, 32, 32)),
    ],
)
def test_images_and_labels_are_those_of_the_files(dataset, variant, shape, image_files):
    """EMNIST's images lie on their sides, SVHN's channels come last and a 0 is 10, CIFAR-10 has rows of 3,072 bytes."""
    source = load_torchvision(dataset, image_files, download=False, variant=variant)
    assert (tuple(source.train.x.shape), len(source.test)) == ((TRAIN, *shape), TEST)
    side = shape[-1]
    if dataset == "CIFAR10":
        parts = [images(TRAIN // 5, 3 * side * side, seed=seed) for seed in range(5)]
        pixels = np.concatenate([part for part, _ in parts]).reshape(-1, *shape)
        labels = np.concatenate([names for _, names in parts])
    elif dataset == "SVHN":
        pixels, labels = images(TRAIN, side, side, 3)
        pixels = pixels.transpose(0, 3, 1, 2)
    else:
        pixels, labels = images(TRAIN, side, side)
        pixels = (pixels.transpose(0, 2, 1) if dataset == "EMNIST" else pixels)[:, None]
    np.testing.assert_array_equal(source.train.x.numpy(), pixels)
    np.testing.assert_array_equal(source.train.y.numpy(), labels)
    assert source.train.x.dtype == torch.uint8


@pytest.mark.parametrize("dataset", ["KMNIST", "EMNIST", "SVHN", "CIFAR10"])
def test_images_that_are_not_there_are_asked_for(dataset, tmp_path):
    root = tmp_path / "nowhere"
    with pytest.raises(ValueError, match=rf"{dataset} was not found under dataset.root=.*add dataset.download=true"):
        load_torchvision(dataset, str(root), download=False)
    assert not root.exists()


def test_another_variant_of_emnist_is_refused(image_files):
    with pytest.raises(ValueError, match="dataset.variant must be one of byclass, bymerge, balanced"):
        load_torchvision("EMNIST", image_files, download=False, variant="digit")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("dataset", ["cifar10", "celeba", "image_folder"])
def test_colour_goes_through_every_command(dataset, image_files, picture_folder, configure, run_command, tmp_path):
    """Figures, scores of generated images by a classifier, a picture and a dataset of images, and an exported model."""
    place = f"dataset.path={picture_folder}" if dataset == "image_folder" else f"dataset.root={image_files}"
    form = () if dataset == "cifar10" else ("dataset.size=32", "dataset.in_memory=false", "dataset.contamination=0.1")
    options = (f"dataset={dataset}", place, *form, "dataset.batch_size=20", "model=conv", "condition=both")
    small = ("model.channels=[4]", "trainer.max_epochs=1", "test_noises=null", "callbacks.figures.enabled=true")
    config = configure(*options, *small)
    train(config)
    run = Run.of(config).folder
    assert {"reconstructions.png", "prior_samples.png"} <= {path.name for path in (run / "figures").iterdir()}
    for command, *arguments in (
        (evaluate, "generation.samples=100"),
        (generate, "n=20", "images=true", f"output={tmp_path / 'made'}"),
        (generate, "n=20", "by=aggregate_posterior", f"output={tmp_path / 'more'}"),
        (export, f"output={tmp_path / 'shared'}"),
        (info,),
        (figures,),
        (embed, "split=train"),
    ):
        code, text = run_command(command, f"run={run}", *arguments)
        assert code == 0, text
    scores = {name for path in (run / "evaluations").glob("*.json") for name in json.loads(path.read_text())["scores"]}
    assert "generation/fid" in scores
    assert vae_hydra.load(tmp_path / "shared").sample(2, y=1).shape == (2, 3, 32, 32)
