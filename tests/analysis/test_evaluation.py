"""Scoring a saved run again."""

from __future__ import annotations

import json

import pytest

from tests.support.device import OPENED_ON
from vae_hydra.analysis.evaluation import evaluate
from vae_hydra.base.command.configuration import config_folder
from vae_hydra.runs.folder import Run
from vae_hydra.runs.reading import LATER_GENERATION
from vae_hydra.runs.train import train


@pytest.fixture
def trained(configure):
    config = configure("noise=uniform")
    return Run.of(config), train(config)


def again(configure, run, *overrides):
    return evaluate(configure(f"run={run.folder}", OPENED_ON, *overrides, name="evaluate"))


def test_scores_are_those_of_training_to_the_bit(configure, trained):
    run, metrics = trained
    assert again(configure, run) == metrics
    written = json.loads((run.folder / "evaluations" / "best-test.json").read_text())
    nothing_more = {
        "nll": {"samples": 0},
        "generation": {"samples": 0, "permutations": 500, "features": True, **LATER_GENERATION},
        "latents": False,
    }
    request = {"checkpoint": "best", "split": "test", "noise": None, "noises": None, **nothing_more}
    assert written == {**request, "scores": metrics}
    assert run.metrics == metrics


def test_other_checkpoints_splits_and_noises(configure, trained):
    run, metrics = trained
    assert again(configure, run, "checkpoint=last", "split=validation") != metrics
    other = again(configure, run, "noise=normal")
    # Clean input is the same whatever the noise; only the other protocol changes.
    assert other["reconstruct/clean/elbo"] == metrics["reconstruct/clean/elbo"]
    assert "denoise/normal/half_sse" in other
    assert "denoise/uniform/half_sse" not in other
    again(configure, run, "noise=normal", "noise.distribution.scale=3")
    # Two noises of one name have two files, and each holds its options.
    files = sorted(path for path in (run.folder / "evaluations").glob("best-test-normal-*.json"))
    assert {json.loads(file.read_text())["noise"]["distribution"]["scale"] for file in files} == {1.0, 3}
    assert (run.folder / "evaluations" / "last-validation.json").is_file()


def test_none_as_noise_scores_clean_input_alone(configure, trained):
    run, _ = trained
    assert not any(name.startswith("denoise") for name in again(configure, run, "noise=none"))


def test_a_stacked_run_refuses_an_additive_noise(configure):
    config = configure("noise=normal", "noise.mode=stacked")
    train(config)
    with pytest.raises(ValueError, match="trained with noise.mode=stacked.*add noise.mode=stacked"):
        again(configure, Run.of(config), "noise=uniform")
    assert "denoise/uniform/kl" in again(configure, Run.of(config), "noise=uniform", "noise.mode=stacked")


def test_a_run_from_before_is_scored_under_every_noise(configure, tmp_path):
    """noises=all gives an old run the scores, to the bit, that a new run has from training."""
    options = ("noise=normal", "noise.distribution.scale=0.5")
    old, new = (configure(*options, f"output_dir={tmp_path / name}") for name in ("old", "new"))
    del old["test_noises"]
    before, today = train(old), train(new)
    assert {name.rpartition("/")[0] for name in before} == {"reconstruct/clean", "denoise/normal"}
    # Its checkpoint names no other noises.
    assert again(configure, Run.of(old)) == before
    scored = again(configure, Run.of(old), "noises=all")
    assert scored == today
    names = {path.stem for path in (config_folder() / "noise").glob("*.yaml")} - {"none"}
    assert {name.split("/")[1] for name in scored} == {"clean", *names}
    (written,) = (Run.of(old).folder / "evaluations").glob("best-test-noises-*.json")
    assert json.loads(written.read_text())["noises"] == new["test_noises"]
    more = ("+noise@test_noises.strong=normal", "test_noises.strong.name=strong", "~test_noises.uniform")
    scored = again(configure, Run.of(old), "noises=all", *more)
    assert "denoise/strong/kl" in scored
    assert "denoise/uniform/kl" not in scored


def test_a_stacked_run_is_tested_on_stacked_noises(configure):
    config = configure("noise=none", "noise.mode=stacked", "trainer.max_epochs=1")
    metrics = train(config)
    assert "denoise/uniform/kl" in metrics
    assert again(configure, Run.of(config), "noises=all") == metrics


def test_bad_requests_are_refused(configure, trained):
    run, _ = trained
    with pytest.raises(ValueError, match="split must be one of train, validation, test, but got 'dev'"):
        again(configure, run, "split=dev")
    with pytest.raises(ValueError, match="noises must be one of all, but got 'normal'"):
        again(configure, run, "noises=normal")
    with pytest.raises(ValueError, match="leave one of them out"):
        again(configure, run, "noises=all", "noise=normal")
    with pytest.raises(ValueError, match="accelerator"):
        again(configure, run, "accelerator=quantum")


def test_a_noise_that_a_later_test_has_changed_is_the_one_that_is_scored(configure):
    config = configure("noise=none")
    train(config)
    again = configure("noise=none", "test_noises.normal.distribution.scale=3")
    scores = train(again)
    assert scores["denoise/normal/half_sse"] != 0
    found = evaluate(configure(f"run={Run.of(config).folder}", OPENED_ON, name="evaluate"))
    assert found == pytest.approx(scores)
