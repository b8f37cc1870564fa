"""Pictures of what a model does, written to the run's folder and sent to the loggers."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from torch import Tensor

from vae_hydra import checks
from vae_hydra.callbacks.checkpoints import METRICS
from vae_hydra.files import replace_atomically, write_arrays
from vae_hydra.history import read_epochs
from vae_hydra.module import TEST, VAEModule
from vae_hydra.randomness import seeded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Vector data are shown as clouds of this many points, codes as one of this many.
POINTS, CODES = 2000, 5000
# What is shown, kept for a report that compares runs.
EXAMPLES = "examples.npz"


class Shown(NamedTuple):
    """Test examples as a model is fed them and gives them back: [N, *x_shape] each, labels [N].

    Where noise is stacked, ``noisy`` is one of its channels [N, 1, H, W]; without noise it and ``denoised`` are None.
    """

    original: Tensor
    labels: Tensor
    reconstruction: Tensor
    noisy: Tensor | None
    denoised: Tensor | None


class Figures(Callback):
    """Draw loss curves, reconstructions of clean and of noisy inputs, samples from the prior, and codes by class.

    Written at the end of training and, if asked, every few epochs under figures/epoch_NNNN/, with the arrays
    shown in examples.npz. Draws come from a generator state of their own, so that looking does not change what is
    trained, and the noise from yet another: runs of one dataset, noise and seed are shown the same noisy inputs.

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
        with seeded(module.seed, module.device), torch.no_grad():
            shown = _shown(trainer.datamodule, module)  # type: ignore[attr-defined]
            figures = self._figures(trainer, module, shown)
        _write_arrays(shown, folder / EXAMPLES)
        for name, figure in figures.items():
            _save(figure, folder / f"{name}.png")
            _log(figure, name, trainer.loggers, trainer.global_step)

    def _figures(self, trainer: L.Trainer, module: VAEModule, shown: Shown) -> dict[str, Figure]:
        from vae_hydra import plots

        show = _image_panels if len(module.vae.x_shape) == 3 else _vector_panels
        data = trainer.datamodule  # type: ignore[attr-defined]
        figures = {**show(data, module, shown, self.samples), **_latent_panels(data, module)}
        history = read_epochs(Path(trainer.default_root_dir) / METRICS)
        return {"loss_curves": plots.loss_curves(history), **figures} if history else figures


def _shown(data: Any, module: VAEModule) -> Shown:
    """One test image of each class, or a cloud of test points, through the model."""
    are_images = len(module.vae.x_shape) == 3
    taken = module.take(data.one_of_each_class("test") if are_images else data.shuffled("test", limit=POINTS))
    reconstruct = _reconstructor(module, taken.y)
    reconstruction = reconstruct(module.noise.clean(taken.x))
    if module.noise.is_none:
        return Shown(taken.x, taken.y, reconstruction, None, None)
    # How many draws came before depends on the sampler.
    module.seed_batch(TEST, zlib.crc32(b"figures"), 0)
    noisy = module.noise(taken.x)
    # Stacked noise leaves the image alone: show one of its channels.
    seen = noisy if noisy.shape == taken.x.shape else noisy[:, -1:]
    return Shown(taken.x, taken.y, reconstruction, seen, reconstruct(noisy))


def _image_panels(data: Any, module: VAEModule, shown: Shown, samples: int) -> dict[str, Figure]:
    from vae_hydra import plots

    limits = data.value_range()
    clean = {"original": shown.original, "reconstruction": shown.reconstruction}
    drawn, labels = _labelled_samples(module, samples)
    figures = {
        "reconstructions": plots.image_rows(clean, limits),
        "prior_samples": plots.image_grid(drawn, limits, labels),
    }
    if shown.noisy is not None:
        title = "noise" if module.noise.mode == "stacked" else "noisy input"
        rows = {"original": shown.original, title: shown.noisy, "reconstruction": shown.denoised}
        figures["denoised"] = plots.image_rows(rows, limits, own_limits=[title])
    return figures


def _labelled_samples(module: VAEModule, samples: int) -> tuple[Tensor, Tensor | None]:
    """Samples of the prior; each class in turn with its label, or the one that the model's head gives it."""
    vae, z = module.vae, module.vae.prior_sample(samples)
    if vae.condition is not None and vae.condition.decoder:
        y = torch.arange(samples, device=z.device) % vae.condition.classes
        return vae.decode(z, y).mean, y
    return vae.decode(z).mean, None if vae.classifier is None else vae.classify(z).argmax(-1)


def _vector_panels(data: Any, module: VAEModule, shown: Shown, _: int) -> dict[str, Figure]:
    from vae_hydra import plots

    show = plots.histograms if shown.original.shape[1] == 1 else plots.scatter_panels
    samples = module.vae.decode(module.vae.prior_sample(len(shown.original)), shown.labels).mean
    clean = {"original": shown.original, "reconstruction": shown.reconstruction, "prior samples": samples}
    figures = {"reconstructions": show(clean)}
    if shown.noisy is not None:
        denoised = {"original": shown.original, "noisy input": shown.noisy, "reconstruction": shown.denoised}
        figures["denoised"] = show(denoised)
    return figures


def _latent_panels(data: Any, module: VAEModule) -> dict[str, Figure]:
    """The codes of clean test examples in a plane, where there are classes to tell apart and latents for a plane.

    An encoder that was given the class has nothing to tell apart.
    """
    from vae_hydra import plots

    if data.classes < 2 or module.vae.latent_dim < 2 or module.vae.condition is not None:
        return {}
    shown = module.take(data.shuffled("test", limit=CODES))
    q = module.vae.encode(module.noise.clean(shown.x), shown.y)
    return {"latent_plane": plots.latent_plane(module.vae.sampler.code(q), shown.y)}


def _reconstructor(module: VAEModule, y: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda inputs: module.vae(inputs, y).p.mean


def _write_arrays(shown: Shown, path: Path) -> None:
    values = {name: tensor.cpu() for name, tensor in shown._asdict().items() if tensor is not None}
    write_arrays(path, {n: (tensor if n == "labels" else tensor.float()).numpy() for n, tensor in values.items()})


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
