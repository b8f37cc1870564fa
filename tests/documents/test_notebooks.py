"""Every notebook runs from top to bottom on freshly trained runs, and is kept with its pictures."""

from __future__ import annotations

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell

from tests.support.composing import REPOSITORY
from vae_hydra.runs.train import train

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
SHORT = ("trainer.max_epochs=1", "model.latent_dim=2")
RUNS = (
    ("samplers", "sampler=normal"),
    ("samplers", "sampler=lognormal"),
    ("samplers", "sampler=lognormal", "seed=1"),
    ("semi_supervised", "classifier=mlp"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("notebooks")


@pytest.fixture
def runs(folder, configure, monkeypatch):
    """Two seeds of two samplers, and one semi-supervised run, where ``make notebooks`` puts its own."""
    if not any(folder.iterdir()):
        for place, *options in RUNS:
            train(configure(*SHORT, *options, f"output_dir={folder / place}"))
    monkeypatch.setenv("VAE_HYDRA_RUNS", str(folder))
    monkeypatch.setenv("VAE_HYDRA_TABLE", str(folder / "samplers"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_cell_runs(path, runs, capsys):
    shell = InteractiveShell()
    try:
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                # Pictures are shown by a kernel, which this is not.
                shell.run_cell(cell.source.replace("%matplotlib inline", "")).raise_error()
    finally:
        InteractiveShell.clear_instance()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_it_is_kept_as_it_was_executed(path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 1
