"""TensorBoard."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from torch import Tensor

from vae_hydra.training.loggers.run_logger import RunLogger


def tensorboard_logger(folder: Path, run_id: str) -> TensorBoardRun:
    """TensorBoard event files in the run's folder."""
    return TensorBoardRun(folder, run_id)


class TensorBoardRun(RunLogger, TensorBoardLogger):
    """Event files of one run."""

    title = "board"

    def __init__(self, folder: Path, run_id: str) -> None:
        # Lightning's own metric hp_metric would be a name that no other logger has.
        TensorBoardLogger.__init__(self, save_dir=folder, name="", version="tensorboard", default_hp_metric=False)
        self.record, self._run = folder / "tensorboard" / "logged.json", run_id

    @property
    def place(self) -> str:
        return f"tensorboard --logdir {shlex.quote(str(self.log_dir))}"

    @property
    def destination(self) -> str:
        return self._run

    def send(self, values: Mapping[str, float], step: int) -> None:
        TensorBoardLogger.log_metrics(self, dict(values), step)
        # A killed process would lose what TensorBoard keeps in memory for two minutes.
        self.experiment.flush()

    def send_figure(self, name: str, picture: Path, step: int) -> None:
        self.experiment.add_image(name, np.asarray(Image.open(picture).convert("RGB")), step, dataformats="HWC")

    def send_histograms(self, values: Mapping[str, Tensor], step: int) -> None:
        for name, value in values.items():
            self.experiment.add_histogram(name, value, step)

    def end(self, error: BaseException | None) -> None:
        self.experiment.close()
