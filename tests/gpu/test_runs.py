"""Runs trained on a GPU: precisions, a compiled step, a process group, and what the CPU makes of them."""

from __future__ import annotations

import subprocess

import pytest
import torch

from tests.support.processes import command
from vae_hydra.analysis.evaluation import evaluate
from vae_hydra.runs.folder import Run
from vae_hydra.runs.saved import open_run
from vae_hydra.runs.train import train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
# Four seeds on the CPU end within a tenth of their mean.
ON_GPU = ("trainer.accelerator=gpu", "trainer.max_epochs=25", "noise=uniform")


def half_sse(metrics):
    return metrics["denoise/uniform/half_sse"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("trainer.precision=bf16-mixed",),
        ("trainer.precision=16-mixed",),
        ("trainer.precision=64-true",),
        ("trainer.deterministic=true",),
        ("compile=true",),
        ("compile=true", "trainer.precision=bf16-mixed"),
        ("sampler=gamma", "compile=true"),
        ("sampler=inverse_gaussian", "trainer.precision=16-mixed"),
        ("model=conv", "model.channels=[8,16]", "trainer.precision=bf16-mixed"),
        ("model=conv", "model.channels=[8,16]", "trainer.deterministic=true"),
        ("prior=flow",),
        ("sampler=flow",),
    ],
    ids=" ".join,
)
def test_a_run_ends_near_that_of_the_cpu(options, configure, tmp_path):
    config = configure(*ON_GPU, *options)
    metrics = train(config)
    others = [option for option in options if not option.startswith(("compile", "trainer.precision"))]
    wanted = train(configure(*ON_GPU, *others, "trainer.accelerator=cpu", f"output_dir={tmp_path / 'cpu'}"))
    # Draws differ, and half precision rounds.
    assert half_sse(metrics) == pytest.approx(half_sse(wanted), rel=0.2)
    folder = Run.of(config).folder
    assert next(open_run(folder, accelerator="cpu").module.parameters()).device.type == "cpu"
    scored = evaluate(configure(f"run={folder}", "accelerator=cpu", name="evaluate"))
    assert half_sse(scored) == pytest.approx(half_sse(metrics), rel=0.03)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", ["sampler=normal", "sampler=gamma", "sampler=student_t"])
def test_a_compiled_run_has_the_scores_of_an_eager_one(case, configure, tmp_path):
    options = ("trainer.accelerator=gpu", "trainer.precision=64-true", "noise=uniform", case)
    eager = train(configure(*options))
    compiled = train(configure(*options, "compile=true", f"output_dir={tmp_path / 'compiled'}"))
    assert compiled == pytest.approx(eager, rel=1e-6)


def test_a_run_that_was_trained_on_the_cpu_is_scored_on_the_gpu(configure):
    config = configure(*ON_GPU, "trainer.accelerator=cpu", "trainer.max_epochs=2")
    metrics = train(config)
    scored = evaluate(configure(f"run={Run.of(config).folder}", "accelerator=gpu", name="evaluate"))
    assert half_sse(scored) == pytest.approx(half_sse(metrics), rel=0.03)


@pytest.mark.timeout(300)
def test_a_process_group_of_one_gpu_trains_the_run_of_one_gpu(configure, tmp_path):
    options = ("trainer.accelerator=gpu", "noise=uniform", "trainer.max_epochs=3")
    alone = train(configure(*options))
    words = command(tmp_path / "group", *options, "trainer=ddp", "trainer.accelerator=gpu", "trainer.devices=1")
    result = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    (path,) = (tmp_path / "group").glob("digits-*")
    assert Run(path).metrics == pytest.approx(alone, rel=1e-3, abs=1e-3)
