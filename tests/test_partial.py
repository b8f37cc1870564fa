"""Runs that saw less than their data and epochs say so."""

from __future__ import annotations

import pytest

from vae_hydra import train
from vae_hydra.run import Run

SMALL = ("dataset.fraction=0.1", "test_noises=null", "callbacks.figures.enabled=false", "trainer.accelerator=cpu")


@pytest.mark.parametrize(
    ("options", "partial"),
    [
        (["+trainer.fast_dev_run=true"], "trainer.fast_dev_run=true"),
        (["+trainer.limit_train_batches=1"], "trainer.limit_train_batches=1"),
        (["+trainer.limit_test_batches=0.5"], "trainer.limit_test_batches=0.5"),
        (["+trainer.limit_val_batches=1"], "trainer.limit_val_batches=1"),
        (["+trainer.overfit_batches=1"], "trainer.overfit_batches=1"),
        (["+trainer.max_steps=2"], "trainer.max_steps=2"),
        (["+trainer.max_time=00:00:00:00"], "trainer.max_time=00:00:00:00"),
        (["+trainer.max_steps=1000"], None),
        (["+trainer.max_time=01:00:00:00"], None),
        (["+trainer.limit_train_batches=1.0", "+trainer.limit_val_batches=0"], None),
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
