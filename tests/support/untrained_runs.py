"""Folders of runs whose weights are as they were drawn."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.support.composing import QUICK, composed
from vae_hydra.runs.build import build_experiment
from vae_hydra.runs.folder import Run
from vae_hydra.training.module import CHECKPOINT_KEY

TINY = "model.encoder.widths=[8] model.decoder.widths=[8]"


def untrained(folder: Path, *overrides: str) -> Run:
    """A run's folder with weights as they are drawn, and scores that are made up."""
    config = composed(*QUICK, f"output_dir={folder}", *overrides)
    run, module = Run.of(config), build_experiment(config).module
    if config["trainer"]["precision"] == "64-true":
        module.double()
    with run.writing(config):
        content = {CHECKPOINT_KEY: module.description, "state_dict": module.state_dict(), "epoch": 3}
        torch.save(content, run.folder / "best.ckpt")
    run.finish({"reconstruct/clean/half_sse": 2.5, "reconstruct/clean/elbo": -7.25}, "best", 0.1)
    return run
