"""Pictures of what a model does, written to the run's folder and sent to the loggers."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from torch import Tensor

from vae_hydra import checks
from vae_hydra.callbacks.checkpoints import METRICS
from vae_hydra.files import replace_atomically
from vae_hydra.history import read_epochs
from vae_hydra.module import VAEModule

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Vector data are shown as clouds of this many points.
POINTS = 2000


class Figures(Callback):
    """Draw loss curves, reconstructions of clean and of noisy inputs, and samples from the prior.

    Written at the end of training and, if asked, every few epochs under figures/epoch_NNNN/. Draws come
    from a generator state of their own, so that looking does not change what is trained.

    Args:
        every_n_epochs: 0 for the end only.
        samples: number of prior samples.
        enabled: false draws nothing.
    """

    def __init__(self, every_n_epochs: int = 0, samples: int = 64, enabled: bool = True) -> None:
        self.every_n_epochs = checks.non_negative_integer("callbacks.figures.every_n_epochs", every_n_epochs)
        self.samples = checks.positive_integer("callbacks.figures.samples", samples)
        self.enabled = checks.boolean("callbacks.figures.enabled", enabled)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if self.every_n_epochs and epoch % self.every_n_epochs == 0:
            self.draw(trainer, pl_module, f"epoch_{epoch:04d}")

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.draw(trainer, pl_module, "")

    def draw(self, trainer: L.Trainer, module: L.LightningModule, subfolder: str) -> None:
        """Write all figures of ``module`` under figures/``subfolder`` of the run's folder."""
        if not (self.enabled and trainer.is_global_zero):
            return
        assert isinstance(module, VAEModule)
        folder = Path(trainer.default_root_dir) / "figures" / subfolder
        folder.mkdir(parents=True, exist_ok=True)
        devices = [module.device] if module.device.type == "cuda" else []
        with torch.random.fork_rng(devices), torch.no_grad():
            torch.manual_seed(module.seed)
            figures = self._figures(trainer, module)
        for name, figure in figures.items():
            _save(figure, folder / f"{name}.png")
            _log(figure, name, trainer.loggers, trainer.global_step)

    def _figures(self, trainer: L.Trainer, module: VAEModule) -> dict[str, Figure]:
        from vae_hydra import plots

        show = _image_panels if len(module.vae.x_shape) == 3 else _vector_panels
        figures = show(trainer.datamodule, module, self.samples)  # type: ignore[attr-defined]
        history = read_epochs(Path(trainer.default_root_dir) / METRICS)
        return {"loss_curves": plots.loss_curves(history), **figures} if history else figures


def _image_panels(data: Any, module: VAEModule, samples: int) -> dict[str, Figure]:
    from vae_hydra import plots

    x, limits = data.one_of_each_class("test").x.to(module.device, module.dtype), data.value_range()
    reconstruct = _reconstructor(module)
    clean = {"original": x, "reconstruction": reconstruct(module.noise.clean(x))}
    figures = {
        "reconstructions": plots.image_rows(clean, limits),
        "prior_samples": plots.image_grid(module.vae.sample(samples), limits),
    }
    if not module.noise.is_none:
        noisy = module.noise(x)
        # Stacked noise leaves the image alone: show one of its channels.
        title, seen = ("noise", noisy[:, -1:]) if noisy.shape != x.shape else ("noisy input", noisy)
        rows = {"original": x, title: seen, "reconstruction": reconstruct(noisy)}
        figures["denoised"] = plots.image_rows(rows, limits, own_limits=[title])
    return figures


def _vector_panels(data: Any, module: VAEModule, samples: int) -> dict[str, Figure]:
    from vae_hydra import plots

    examples = data.splits["test"]
    chosen = torch.randperm(len(examples))[:POINTS]
    x = data.prepare(examples.x[chosen]).to(module.device, module.dtype)
    reconstruct = _reconstructor(module)
    clean = {"original": x, "reconstruction": reconstruct(x), "prior samples": module.vae.sample(POINTS)}
    figures = {"reconstructions": plots.scatter_panels(clean)}
    if not module.noise.is_none:
        noisy = module.noise(x)
        panels = {"original": x, "noisy input": noisy, "reconstruction": reconstruct(noisy)}
        figures["denoised"] = plots.scatter_panels(panels)
    return figures


def _reconstructor(module: VAEModule) -> Callable[[Tensor], Tensor]:
    return lambda inputs: module.vae(inputs).p.mean


def _save(figure: Figure, path: Path) -> None:
    replace_atomically(path, lambda temporary: figure.savefig(temporary, format="png", dpi=150))


def _log(figure: Figure, name: str, loggers: Iterable[Logger], step: int) -> None:
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.log_image(f"figures/{name}", [_pixels(figure)])
        elif isinstance(logger, TensorBoardLogger):
            logger.experiment.add_figure(f"figures/{name}", figure, step)


def _pixels(figure: Figure) -> Any:
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return Image.open(buffer)
