"""What takes minutes: `make test-slow`."""

from __future__ import annotations

import json
import subprocess

import pytest
import torch

from tests.runs.test_train import command
from vae_hydra.analysis.image_classifier import classifier_accuracy, train_classifier
from vae_hydra.runs.build import build_data
from vae_hydra.runs.train import train
from vae_hydra.training.history import read_epochs

pytestmark = pytest.mark.slow


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("sampler", "published"), [("normal", 5.638), ("lognormal", 6.024), ("inverse_gaussian", 6.309)]
)
def test_published_half_sse_on_mnist_is_reached_within_four_percent(sampler, published, configure, mnist_root):
    overrides = ("experiment=heavy_tailed/mnist", f"sampler={sampler}", "trainer.max_epochs=100")
    metrics = train(configure(*overrides, f"dataset.root={mnist_root}"))
    assert metrics["reconstruct/clean/half_sse"] == pytest.approx(published, rel=0.04)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("dataset", "accuracy"), [("mnist", 0.985), ("mnist_exp", 0.985), ("fashion_mnist", 0.9)])
def test_classifier_recognises_what_it_is_shown(dataset, accuracy, configure, mnist_root):
    data = build_data(configure(f"dataset={dataset}", f"dataset.root={mnist_root}"))
    assert classifier_accuracy(train_classifier(data, torch.device("cpu")), data) >= accuracy


def test_two_devices_train_one_run(tmp_path):
    devices = ["trainer.devices=2", "+trainer.strategy=ddp", "noise=uniform", "trainer.max_epochs=20"]
    result = subprocess.run(command(tmp_path, *devices), check=True, capture_output=True, text=True, timeout=200)
    assert result.stdout.count("test scores") == 1
    (folder,) = tmp_path.glob("digits-*")
    assert json.loads((folder / "run.json").read_text())["status"] == "done"
    rows = read_epochs(folder / "metrics.csv")
    assert len(rows) == 20
    assert rows[-1]["val/loss"] < rows[0]["val/loss"]
