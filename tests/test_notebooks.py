"""Every notebook runs from top to bottom on a freshly trained run."""

from __future__ import annotations

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import REPOSITORY
from vae_hydra.run import Run
from vae_hydra.train import train


@pytest.mark.parametrize("path", sorted((REPOSITORY / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_notebook_runs(path, configure, monkeypatch):
    config = configure("sampler=lognormal")
    train(config)
    monkeypatch.setenv("VAE_HYDRA_RUN", str(Run.of(config).folder))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    pictures = [out for cell in notebook.cells for out in cell.get("outputs", []) if "image/png" in out.get("data", {})]
    assert len(pictures) >= 3
