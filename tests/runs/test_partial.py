"""Runs that saw less than their data and epochs say so."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.support.device import TRAINED_ON
from vae_hydra import train
from vae_hydra.runs.folder import Run
from vae_hydra.runs.partial import partial_options
from vae_hydra.runs.scoring import CURRENT, standing
from vae_hydra.training.callbacks import EarlyStop

SMALL = ("dataset.fraction=0.1", "test_noises=null", "callbacks.figures.enabled=false", TRAINED_ON)


@pytest.mark.parametrize(
    ("options", "partial"),
    [
        (["+trainer.fast_dev_run=true"], "trainer.fast_dev_run=true"),
        (["+trainer.limit_train_batches=1"], "trainer.limit_train_batches=1"),
        (["+trainer.limit_test_batches=0.5", "dataset.eval_batch_size=100"], "trainer.limit_test_batches=0.5"),
        (["+trainer.max_steps=2"], "trainer.max_steps=2"),
        (["+trainer.max_steps=1000", "+trainer.max_time=01:00:00:00", "+trainer.limit_train_batches=1.0"], None),
    ],
)
def test_a_run_that_is_cut_short_says_so(options, partial, run_command, tmp_path):
    command = [*SMALL, "trainer.max_epochs=2", *options]
    for _ in range(2):
        code, text = run_command(train, *command)
        assert code == 0, text
        assert (partial is not None) == ("cut this run short" in text)
        assert partial is None or f"partial  {partial} cut" in text
    (folder,) = (tmp_path / "outputs").glob("digits-*")
    record = Run.open(folder).record
    assert record["status"] == "done"
    assert record.get("partial") == partial


@pytest.mark.parametrize(
    ("options", "steps", "stopped_epoch", "partial"),
    [
        ({}, 20, 0, None),
        ({"limit_val_batches": 0}, 20, 0, None),
        ({"limit_val_batches": 1, "overfit_batches": 0.5}, 20, 0, "overfit_batches=0.5, limit_val_batches=1"),
        ({"max_time": "00:00:01:00"}, 7, 0, "max_time=00:00:01:00"),
        ({"max_time": "00:00:01:00"}, 7, 1, None),
        ({"max_time": "00:00:01:00", "max_steps": -1}, 20, 0, None),
    ],
)
def test_which_options_cut_a_run(options, steps, stopped_epoch, partial):
    stop = EarlyStop("val/loss")
    stop.stopped_epoch = stopped_epoch
    trainer = SimpleNamespace(
        num_training_batches=19, accumulate_grad_batches=2, max_epochs=2, global_step=steps, callbacks=[stop]
    )
    said = partial and ", ".join(f"trainer.{option}" for option in partial.split(", "))
    assert partial_options(options, trainer) == said


def test_a_run_without_validation_stands_in_a_report():
    assert standing({"trainer": {"limit_val_batches": 0}}, {"scores_version": CURRENT}) is None
    assert standing({"trainer": {"limit_val_batches": 3}}, {"scores_version": CURRENT})[0] == "partial"
