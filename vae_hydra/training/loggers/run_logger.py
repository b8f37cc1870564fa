"""What every logger of a run does: each value once, figures, histograms, the model, and the end of the run."""

from __future__ import annotations

import zlib
from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from vae_hydra.training.loggers.logged import Logged

# Of a histogram of parameters.
BINS = 64


class RunLogger(Logger):
    """A logger that continues the same run after an interruption, without a value twice.

    Attributes:
        title: its name for the reader.
        record: the file that ``Logged`` keeps.
        logs_model: whether the trained model belongs into its store.
    """

    title: str
    record: Path
    logs_model = False

    @property
    @abstractmethod
    def place(self) -> str:
        """Where the logger's run is, for the reader."""

    @property
    @abstractmethod
    def destination(self) -> str:
        """What distinguishes the logger's run from all others."""

    @abstractmethod
    def send(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers at a step of the optimizer."""

    @abstractmethod
    def send_figure(self, name: str, picture: Path, step: int) -> None:
        """Log a PNG file under ``name``."""

    def send_histograms(self, values: Mapping[str, Tensor], step: int) -> None:
        """Log a histogram of each tensor; nothing where the store has no histograms."""

    def log_model(self, folder: Path) -> None:
        """Log the folder of an exported model."""

    @abstractmethod
    def end(self, error: BaseException | None) -> None:
        """Close the logger's run; ``error`` is what ended training, if anything did."""

    @cached_property
    def logged(self) -> Logged:
        return Logged(self.record, self.destination)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        step = step or 0
        if values := self.logged.new({name: float(value) for name, value in metrics.items()}, step):
            self.send(values, step)
            self.logged.note(values, step)

    def log_figure(self, name: str, picture: Path, step: int) -> None:
        """Log a PNG file as ``figures/<name>``, unless the same one is logged already."""
        key = f"figures/{name}"
        if values := self.logged.new({key: zlib.crc32(picture.read_bytes())}, step):
            self.send_figure(key, picture, step)
            self.logged.note(values, step)

    def log_histograms(self, values: Mapping[str, Tensor], step: int) -> None:
        """Log a histogram of each tensor of finite values, unless that of this step is logged already."""
        finite = [name for name, value in values.items() if value.isfinite().all()]
        marks = self.logged.new(dict.fromkeys(finite, "histogram"), step)
        if marks:
            self.send_histograms({name: values[name] for name in marks}, step)
            self.logged.note(marks, step)


def exit_code(error: BaseException | None) -> int:
    """The exit code that stands for the end of a run: 0 without an error, 1 for one that names none."""
    return 0 if error is None else getattr(error, "exit_code", 1)
