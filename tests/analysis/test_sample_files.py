"""Generating from a saved run on the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from torchvision.datasets import ImageFolder

from tests.support.device import OPENED_ON
from vae_hydra import generate
from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import train


@pytest.fixture
def run(configure):
    config = configure("condition=both", "sampler=lognormal", "trainer.max_epochs=1")
    train(config)
    return Run.of(config)


def test_a_picture_a_dataset_and_arrays(run, run_command, tmp_path, quick_recipe):
    moved = tmp_path / "elsewhere" / "renamed"
    moved.parent.mkdir()
    run.folder.rename(moved)
    wanted = ("n=25", "images=true", "arrays=true", "recognise=true", OPENED_ON)
    code, text = run_command(generate, f"run={moved}", *wanted)
    assert code == 0, text
    folder = moved / "generated" / "prior-n25-s0"
    assert (folder / "generated.png").is_file()
    record = json.loads((folder / "generated.json").read_text())
    assert (record["n"], record["checkpoint"]) == (25, "best")
    assert sum(record["recognised"]["counts"]) == 25
    assert "recognised as the class asked for" in text
    # torchvision reads the dataset back.
    images = ImageFolder(str(folder / "images"))
    assert images.classes == [str(i) for i in range(10)]
    assert sorted(images.targets) == sorted(i % 10 for i in range(25))
    arrays = np.load(folder / "generated.npz")
    assert arrays["y"].tolist() == [i % 10 for i in range(25)]
    pixels = np.asarray(next(image for image, label in images if label == 7).convert("L"))
    assert np.abs(pixels / 255 - arrays["x"][7, 0].clip(0, 1)).max() <= 0.5 / 255 + 1e-6
    # An existing dataset is not overwritten.
    code, text = run_command(generate, f"run={moved}", *wanted)
    assert (code, "is there already; delete it, or say output=FOLDER" in text) == (2, True)
    code, text = run_command(generate, f"run={moved}", *wanted[:2], f"output={tmp_path / 'mine'}")
    assert code == 0
    code, text = run_command(generate, f"run={moved}", f"output={tmp_path / 'mine'}")
    assert (code, "name a new folder" in text) == (2, True)


def test_vectors_and_wrong_requests(configure, run_command):
    config = configure("dataset=lognormal_2d", "dataset.fraction=0.05", "trainer.max_epochs=1")
    train(config)
    folder = Run.of(config).folder
    code, text = run_command(generate, f"run={folder}", "by=aggregate_posterior", "n=50", "arrays=true", "class=1")
    assert code == 0, text
    (path,) = folder.glob("generated/*/generated.npz")
    assert np.load(path)["x"].shape == (50, 2)
    before = sorted(folder.rglob("*"))
    for options, message in [
        (("images=true",), "images: only examples of one or three channels can be written as such; use arrays=true"),
        (("recognise=true",), "these examples are no images"),
        (("recognise=maybe",), "recognise must be true or false"),
        (("class=1",), "has no classes"),
        (("checkpoint=first",), "checkpoint must be one of best, last"),
    ]:
        code, text = run_command(generate, f"run={folder}", *options)
        assert (code, message in text, "Traceback" in text) == (2, True, False), text
    assert sorted(folder.rglob("*")) == before
