"""Encoding a split with a saved run on the command line."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from tests.support.device import OPENED_ON
from vae_hydra import embed, load
from vae_hydra.analysis.embedding import _class_arrays, _write_parquet
from vae_hydra.runs.build import build_data
from vae_hydra.runs.folder import Run
from vae_hydra.runs.posteriors import posteriors
from vae_hydra.runs.saved import data_of, open_run
from vae_hydra.runs.train import train

SHORT = ("trainer.max_epochs=1", "dataset.fraction=0.3", "model.latent_dim=4")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def runs(trained, configure, tmp_path):
    """An Inverse Gaussian run and a Student-t one, trained once, and copied for each test."""
    configs = [
        configure(*SHORT, f"sampler={name}", f"output_dir={trained}") for name in ("inverse_gaussian", "student_t")
    ]
    for config in configs:
        train(config)
    shutil.copytree(trained, tmp_path / "outputs")
    return [Run(tmp_path / "outputs" / Run.of(config).folder.name) for config in configs]


def test_posteriors_class_embeddings_and_correlations(runs, run_command, tmp_path):
    one, other = runs
    moved = tmp_path / "moved"
    one.folder.rename(moved)
    code, text = run_command(embed, f"run={moved}", f"against={other.folder}", OPENED_ON)
    assert code == 0, text
    arrays = np.load(moved / "embeddings" / "best-test.npz")
    data = build_data(one.__class__(moved).config)
    examples = data.prepared("test")
    with torch.no_grad():
        q = load(moved).encode(examples.x)
    np.testing.assert_allclose(arrays["concentration"], q.concentration, rtol=1e-5)
    np.testing.assert_allclose(arrays["code"], q.mean, rtol=1e-5)
    assert (arrays["z"] > 0).all()
    assert arrays["y"].tolist() == examples.y.tolist()
    classes = np.load(moved / "embeddings" / "best-test-classes.npz")
    np.testing.assert_allclose(classes["loc"][3], arrays["loc"][arrays["y"] == 3].mean(0), rtol=1e-5)
    assert classes["y"].tolist() == list(range(10))
    (path,) = moved.glob("embeddings/*-against-*.json")
    found = json.loads(path.read_text())
    assert found["canonical"]["value"] > 0.3 > found["canonical"]["by_chance"]
    assert np.shape(found["spearman"]) == (4, 4)
    assert "mean canonical correlation" in text
    assert path.with_suffix(".png").is_file()


def test_parquet_is_the_same_table(runs, run_command):
    folder = runs[1].folder
    for form in ("npz", "parquet"):
        code, text = run_command(embed, f"run={folder}", f"format={form}", "split=validation")
        assert code == 0, text
    table = pd.read_parquet(folder / "embeddings" / "best-validation.parquet")
    arrays = np.load(folder / "embeddings" / "best-validation.npz")
    np.testing.assert_array_equal(table[["df_0", "df_1", "df_2", "df_3"]], arrays["df"])
    np.testing.assert_array_equal(table["y"], arrays["y"])
    assert len(pd.read_parquet(folder / "embeddings" / "best-validation-classes.parquet")) == 10


def test_wrong_requests_write_nothing(runs, run_command, configure, tmp_path):
    other = configure(*SHORT, "dataset.seed=1")
    train(other)
    vectors = configure(*SHORT, "dataset=lognormal_2d", "dataset.validation=0")
    train(vectors)
    cases = [
        ((f"against={Run.of(other).folder}",), "its examples are not those of"),
        ((f"against={Run.of(vectors).folder}",), "its examples are not those of"),
        (("format=csv",), "format must be one of npz, parquet, but got 'csv'"),
        (("split=dev",), "split must be one of"),
        (("output=5",), "output must be a folder, but got 5"),
        ((f"output={tmp_path}",), "is there already and not empty; name a new folder"),
    ]
    for options, message in cases:
        code, text = run_command(embed, f"run={runs[0].folder}", *options)
        assert (code, message in text, "Traceback" in text) == (2, True, False), text
    code, text = run_command(embed, f"run={Run.of(vectors).folder}", "split=validation")
    assert (code, "split=validation is empty" in text) == (2, True)
    assert not (runs[0].folder / "embeddings").exists()


def test_outliers_belong_to_no_class(configure):
    config = configure("dataset.fraction=0.3", "dataset.contamination=0.3", "trainer.max_epochs=1", "test_noises=null")
    train(config)
    saved = open_run(Run.of(config).folder)
    data = data_of(saved)
    examples = data.prepared("train")
    assert (examples.y < 0).sum() > 20
    arrays = _class_arrays(posteriors(saved.module, examples), 10)
    labelled = posteriors(saved.module, examples[(examples.y >= 0).nonzero()[:, 0]])
    for label, loc in zip(arrays["y"], arrays["loc"], strict=True):
        torch.testing.assert_close(loc, labelled.parameters["loc"][labelled.y == label].mean(0))


def test_matrices_are_columns_of_a_table(tmp_path):
    pytest.importorskip("pyarrow")
    matrices = torch.arange(12.0).reshape(3, 2, 2)
    table = pd.read_parquet(_write_parquet(tmp_path / "a", {"scale_tril": matrices, "y": torch.arange(3)}))
    assert list(table.columns) == ["scale_tril_0_0", "scale_tril_0_1", "scale_tril_1_0", "scale_tril_1_1", "y"]
    assert table["scale_tril_1_0"].tolist() == [2, 6, 10]
