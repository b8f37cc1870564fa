"""The callback that draws figures of a model into the run's folder and sends them to the loggers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import Logger

from vae_hydra.base import checks
from vae_hydra.base.command.configuration import is_sweep
from vae_hydra.base.files import write_arrays, write_figure
from vae_hydra.data.datamodule import DataModule
from vae_hydra.training.callbacks.checkpoints import METRICS, Checkpoints
from vae_hydra.training.history import Row, read_epochs
from vae_hydra.training.loggers import RunLogger
from vae_hydra.training.module import VAEModule

if TYPE_CHECKING:
    from vae_hydra.drawing.panels import ShownExamples

log = logging.getLogger(__name__)

# Arrays of the shown examples, for a report that compares runs.
EXAMPLES = "examples.npz"


class Figures(Checkpoint):
    """Draw figures of the model; by default loss curves, reconstructions, samples, and codes by class.

    They are written at the end of training and, if asked, after chosen epochs under figures/epoch_NNNN/, with the
    shown examples in examples.npz and the generated ones in samples.npz. Draws have a random state of their own, so
    that figures do not change the training; the noise has yet another, so that runs of one dataset, noise and seed
    show the same noisy inputs. A Checkpoint, because Lightning runs those last, when the epoch's metrics are known.

    Args:
        every_n_epochs: 0 for the end only.
        epochs: further epochs after which to draw; 0 is before training.
        show: ``default``, ``all``, or a list of names, see ``panels.PANELS``.
        samples: number of prior samples.
        enabled: false draws nothing.
        in_sweep: whether runs of a sweep draw figures at their end. Without, they write examples.npz alone, which a
            report shows; runs with a logger draw figures in any case.
    """

    def __init__(
        self,
        every_n_epochs: int = 0,
        samples: int = 64,
        enabled: bool = True,
        epochs: Sequence[int] = (),
        show: str | Sequence[str] = "default",
        in_sweep: bool = False,
    ) -> None:
        self.every_n_epochs = checks.non_negative_integer("callbacks.figures.every_n_epochs", every_n_epochs)
        self.samples = checks.positive_integer("callbacks.figures.samples", samples)
        self.epochs = checks.integers("callbacks.figures.epochs", epochs, minimum=0)
        self.enabled = checks.boolean("callbacks.figures.enabled", enabled)
        self.in_sweep = checks.boolean("callbacks.figures.in_sweep", in_sweep)
        self.show: list[str] = []
        if self.enabled:
            # Imported here and below: a run without figures does not wait for matplotlib.
            from vae_hydra.drawing.panels import chosen

            self.show = chosen("callbacks.figures.show", show)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # A resumed run has drawn this already, with its initial weights.
        if 0 in self.epochs and trainer.global_step == 0:
            self.draw(trainer, pl_module, epoch=0)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if epoch in self.epochs or (self.every_n_epochs and epoch % self.every_n_epochs == 0):
            self.draw(trainer, pl_module, epoch)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.draw(trainer, pl_module)

    def draw(self, trainer: L.Trainer, module: L.LightningModule, epoch: int | None = None) -> None:
        """Write all figures of ``module`` under figures/ of the run's folder, or figures/epoch_NNNN/."""
        if trainer.is_global_zero:
            assert isinstance(module, VAEModule)
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            run = Path(trainer.default_root_dir)
            unwritten = [row for one in trainer.callbacks if isinstance(one, Checkpoints) for row in one.unwritten]  # type: ignore[attr-defined]
            self.draw_run(run, module, data, epoch, trainer.loggers, trainer.global_step, unwritten)

    def draw_run(
        self,
        run: Path,
        module: VAEModule,
        data: DataModule,
        epoch: int | None = None,
        loggers: Sequence[Logger] = (),
        step: int = 0,
        unwritten: Sequence[Row] = (),
    ) -> None:
        """``draw`` for a run without a trainer.

        Args:
            run: its folder.
            module, data: model and data.
            epoch: the number of epochs that it has been trained for; None at the end.
            loggers: that get the figures.
            step: the optimizer's, for the loggers.
            unwritten: rows of the latest epochs that are not in metrics.csv yet.
        """
        if not self.enabled:
            return
        from vae_hydra.drawing.panels import SAMPLES, Subject, drawn, keep_samples

        root = run / "figures"
        folder = root if epoch is None else root / f"epoch_{epoch:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        # A run that goes on trains the last epochs of the file again.
        written = [row for row in read_epochs(run / METRICS) if not unwritten or row["epoch"] < unwritten[0]["epoch"]]
        history = [*written, *unwritten]
        subject = Subject(module, data, history, root, module.seed, self.samples)
        _write_shown(subject.shown, folder / EXAMPLES)
        if epoch is not None or any(root.glob("epoch_*")):
            keep_samples(subject, folder / SAMPLES)
        # It shows all epochs, so it is drawn at the end.
        names = [name for name in self.show if epoch is None or name != "samples_by_epoch"]
        if epoch is None and is_sweep() and not self.in_sweep and not loggers:
            names = []
        for name, figure in drawn(subject, names):
            if isinstance(figure, str):
                log.debug("no figure %s: %s", name, figure)
                continue
            write_figure(figure, folder / f"{name}.png")
            for logger in loggers:
                if isinstance(logger, RunLogger):
                    logger.log_figure(name, folder / f"{name}.png", step)


def _write_shown(shown: ShownExamples, path: Path) -> None:
    values = {name: tensor.cpu() for name, tensor in shown._asdict().items() if tensor is not None}
    write_arrays(path, {n: (tensor if n == "labels" else tensor.float()).numpy() for n, tensor in values.items()})
