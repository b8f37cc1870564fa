"""How a sweep says how far it is, and which figures its runs draw."""

from __future__ import annotations

import logging
import os
import time

import pytest

from tests.support.device import TRAINED_ON
from vae_hydra import figures as figures_command
from vae_hydra import train
from vae_hydra.base.files import write_json
from vae_hydra.runs.folder import Run, finished_runs
from vae_hydra.studies.sweep import progress
from vae_hydra.studies.sweep.progress import SweepProgress


def finish(folder):
    folder.mkdir()
    write_json(folder / "metrics.json", {})
    write_json(folder / "run.json", {"status": "done"})


def test_a_sweep_says_how_many_runs_are_done(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(progress, "INTERVAL", 0.01)
    monkeypatch.setattr(progress, "QUIET", 0.0)
    caplog.set_level(logging.INFO)
    folders = [tmp_path / name for name in "abcd"]
    finish(folders[3])
    os.utime(folders[3] / "metrics.json", (1, 1))
    with SweepProgress(folders):
        for count in (1, 2):
            finish(folders[count])
            until = time.monotonic() + 20
            while f"sweep    {count} of 4 runs done, " not in caplog.text:
                assert time.monotonic() < until
                time.sleep(0.01)
    # The one that was done before is only tested again.
    assert "3 of 4" not in caplog.text
    assert all(record.run is None for record in caplog.records)


SWEEP = (
    *("-m", "seed=0,1", "trainer.max_epochs=1", TRAINED_ON, "dataset.fraction=0.1"),
    *("test_noises=null", "callbacks.figures.show=[reconstructions]", "callbacks.figures.samples=4"),
)


@pytest.mark.parametrize("options", [(), ("stack=8",)], ids=["single", "stacked"])
def test_runs_of_a_sweep_keep_examples_and_are_drawn_when_asked(options, run_command, tmp_path):
    code, text = run_command(train, *SWEEP, *options)
    assert code == 0, text
    runs = finished_runs(tmp_path / "outputs")
    assert len(runs) == 2
    assert [sorted(path.name for path in (run / "figures").iterdir()) for run in runs] == [["examples.npz"]] * 2
    assert "figures  python -m vae_hydra.figures run=outputs show=default" in text
    code, text = run_command(figures_command, f"run={tmp_path / 'outputs'}", "show=[reconstructions]")
    assert code == 0, text
    assert all((run / "figures" / "reconstructions.png").is_file() for run in runs)
    # A run by itself has none beside it.
    assert finished_runs(runs[0]) == []


def test_runs_of_a_sweep_draw_where_it_is_asked_beforehand(run_command, tmp_path):
    code, text = run_command(train, *SWEEP, "callbacks.figures.in_sweep=true")
    assert code == 0, text
    assert "vae_hydra.figures" not in text
    for run in finished_runs(tmp_path / "outputs"):
        assert (run / "figures" / "reconstructions.png").is_file()


def test_figures_of_many_runs_go_into_their_folders(run_command, tmp_path):
    run_command(train, *SWEEP)
    code, text = run_command(figures_command, f"run={tmp_path / 'outputs'}", f"output={tmp_path / 'there'}")
    assert code == 2
    assert "is for one run, but" in text
    assert "holds 2" in text


def test_one_run_that_cannot_be_drawn_does_not_stop_the_others(run_command, tmp_path):
    run_command(train, *SWEEP)
    first, second = finished_runs(tmp_path / "outputs")
    (first / "last.ckpt").write_text("short")
    (first / "best.ckpt").write_text("short")
    code, text = run_command(figures_command, f"run={tmp_path / 'outputs'}", "show=[reconstructions]")
    assert code == 0, text
    assert f"failed   {first}" in text
    assert (second / "figures" / "reconstructions.png").is_file()
    assert Run(first).is_done
