"""The LightningModule: one step for all stages, β, logging and the optimizer."""

from __future__ import annotations

import logging
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import LRSchedulerConfigType, OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from vae_hydra.base import checks
from vae_hydra.base.shares import Share
from vae_hydra.data.examples import Examples
from vae_hydra.data.noise import Noise
from vae_hydra.model.vae import VAE, VAEOutput
from vae_hydra.training.batch_seeds import TEST, TRAIN, VALIDATION, batch_seed, seed_generator
from vae_hydra.training.beta import BetaSchedule
from vae_hydra.training.denormals import flush_denormals
from vae_hydra.training.metrics import (
    RECONSTRUCTION_MEASURES,
    MeanOverExamples,
    accuracy,
    defined,
    image_measures,
    labelled_cross_entropy,
    reconstruction_measures,
    with_totals,
)
from vae_hydra.training.objective import Objective, Pass
from vae_hydra.training.protocols import CLEAN, DENOISE, image_measure_names

log = logging.getLogger(__name__)

CHECKPOINT_KEY = "vae_hydra"


class VAEModule(L.LightningModule):
    """Train and test a VAE: noisy input, clean target, and the batch mean of the objective.

    (seed, stage, epoch, batch) seeds the randomness of every batch: an interrupted run continues exactly, and
    validation uses the same noise each epoch.

    Args:
        vae: the model.
        noise: noise on the training and validation input.
        beta: schedule of the KL weight.
        objective: per-example loss.
        optimizer: parameters → Optimizer.
        scheduler: Optimizer → learning rate schedule, stepped each epoch; None for a constant rate.
        seed: seed of all randomness of training, validation and test.
        description: plain values for every checkpoint, enough to rebuild the model.
        test_noises: noises of the denoising test; the test also reconstructs clean input.
        classifier_weight: weight of the cross-entropy of the model's classifier head, if it has one.
        train_labelled, validation_labelled: share of the training and validation examples with a label, in (0, 1].
            Tests use all labels.
    """

    def __init__(
        self,
        vae: VAE,
        noise: Noise,
        beta: BetaSchedule,
        objective: Objective,
        optimizer: Callable[..., Optimizer] | None = None,
        scheduler: Callable[..., LRScheduler] | None = None,
        seed: int = 0,
        description: Mapping[str, Any] | None = None,
        test_noises: Sequence[Noise] = (),
        classifier_weight: float = 1.0,
        train_labelled: float = 1.0,
        validation_labelled: float = 1.0,
    ) -> None:
        super().__init__()
        self.vae, self.noise = vae, noise
        self.beta_schedule, self.objective = beta, objective
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.seed = seed
        self.description = dict(description or {})
        self.test_noises = nn.ModuleList(test_noises)
        self.classifier_weight = checks.positive("classifier.weight", classifier_weight)
        self.train_labelled = checks.positive_share("train_labelled", train_labelled)
        self.validation_labelled = checks.positive_share("validation_labelled", validation_labelled)
        nats = {"loss": 1, "log_likelihood": 1, "kl_per_latent": vae.kl_terms}
        measures = dict.fromkeys(RECONSTRUCTION_MEASURES, 1)
        if vae.classifier is not None:
            nats, measures = {**nats, "cross_entropy": 1}, {**measures, "accuracy": 1}
        # β and learning rate of the latest batch: by the end of an epoch the schedules have advanced.
        self._last_used: dict[str, float] = {}
        self._validated = False
        self._training_terms = self._step
        self.train_means = MeanOverExamples(nats)
        self.validation_means = MeanOverExamples({**nats, **measures})

    def compile_training(self) -> None:
        """Compile the terms of a training step with torch.compile; random draws stay those of eager mode."""
        import torch._inductor.config as inductor

        inductor.fallback_random = True
        self._training_terms = torch.compile(self._step)

    @property
    def protocols(self) -> list[str]:
        """Names of the test protocols: clean input, then each noise. The target is always clean."""
        return [CLEAN, *(f"{DENOISE}/{noise.name}" for noise in self.test_noises)]

    @property
    def beta(self) -> float:
        """The current β."""
        return self.beta_schedule.at(self.global_step, self.current_epoch)

    @property
    def is_annealed(self) -> bool:
        """Whether the latest step had the final β."""
        return self.beta_schedule.is_final(self.global_step, self.current_epoch)

    def on_train_start(self) -> None:
        self.beta_schedule.last = self._last(self.beta_schedule.unit)
        if remark := self.beta_schedule.remark():
            log.info(remark)
        progress = self.trainer.fit_loop.epoch_loop.batch_progress.current
        within_epoch = progress.ready % max(1, int(self.trainer.num_training_batches))
        if self._data is not None:
            self._data.resume_within_epoch(within_epoch)

    def _last(self, unit: str) -> float:
        """The index of the last step or epoch; infinite if training has no fixed end."""
        steps = self.trainer.estimated_stepping_batches
        if unit == "step" or steps == math.inf:
            return steps - 1
        steps_per_epoch = math.ceil(self.trainer.num_training_batches / self.trainer.accumulate_grad_batches)
        return math.ceil(steps / steps_per_epoch) - 1

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x = self._clean(batch)
        self.seed_batch(TRAIN, self.current_epoch, batch_idx)
        x = self._draw(x)
        beta, share = self.beta, self._share(len(x))
        rows = share.rows
        with share.draws():
            terms, _ = self._training_terms(self.noise(x)[rows], x[rows], beta, batch[1][rows], self.train_labelled)
        self.train_means.update(terms)
        self._last_used = {"beta": beta, "learning_rate": self.trainer.optimizers[0].param_groups[0]["lr"]}
        if share.ranks == 1:
            return terms["loss"].mean()
        # The mean of the devices' gradients, which Lightning takes, is then that of the batch.
        return terms["loss"].sum() * (share.ranks / share.batch)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        x = self._clean(batch)
        self.seed_batch(VALIDATION, 0, batch_idx)
        # The final β keeps epochs comparable while β changes.
        labelled, share = self.validation_labelled, self._share(len(x))
        inputs, x, y = self.noise(x)[share.rows], x[share.rows], batch[1][share.rows]
        with share.draws():
            terms, output = self._step(inputs, x, self.beta_schedule.final, y, labelled)
        self.validation_means.update(defined({**terms, **self._measures(output, x, y, labelled)}))

    def on_test_start(self) -> None:
        # Created only now: checkpoints must not depend on the test protocols, which may change before a run resumes.
        self._span: float | None = None
        sizes = self.validation_means.sizes
        if self._data is not None:
            low, high = self._data.value_range()
            self._span = high - low
            sizes = {**sizes, **dict.fromkeys(image_measure_names(self.vae.x_shape), 1)}
        self._test_means = {name: MeanOverExamples(sizes).to(self.device) for name in self.protocols}

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        whole = self._clean(batch)
        share = self._share(len(whole))
        x, y = whole[share.rows], batch[1][share.rows]
        inputs = [self.noise.clean, *self.test_noises]
        for make_input, (protocol, means) in zip(inputs, self._test_means.items(), strict=True):
            self.seed_batch(TEST, zlib.crc32(protocol.encode()), batch_idx)
            noisy = make_input(whole)[share.rows]
            with share.draws():
                terms, output = self._step(noisy, x, self.beta_schedule.final, y)
            image_terms = {} if self._span is None else image_measures(output.p.mean, x, self._span)
            means.update(defined({**terms, **self._measures(output, x, y), **image_terms}))

    def _clean(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """The examples of a batch in the model's precision (trainer.precision=64-true)."""
        return batch[0].to(self.dtype)

    def take(self, examples: Examples) -> Examples:
        """Move prepared examples to the model's device and precision."""
        return Examples(examples.x.to(next(self.vae.parameters())), examples.y.to(self.device))

    def _draw(self, x: Tensor) -> Tensor:
        """Training examples of this step: dynamic binarisation draws them anew."""
        return x if self._data is None else self._data.draw(x)

    @property
    def _data(self) -> Any:
        """The trainer's DataModule; None if there is no trainer, or one with plain loaders."""
        return getattr(self._trainer, "datamodule", None)

    def _share(self, batch: int) -> Share:
        """This device's share of a batch of that size, all of which the DataModule gives to each device."""
        if self._data is None:
            return Share(0, 1, batch)
        return Share(self.trainer.global_rank, self.trainer.world_size, batch)

    def _step(
        self, inputs: Tensor, x: Tensor, beta: float | Tensor, y: Tensor | None = None, labelled: float = 1.0
    ) -> tuple[dict[str, Tensor], VAEOutput]:
        """Per-example terms [nats] of one pass, and its distributions.

        ``y`` are labels for a model with a condition or a head; ``labelled`` is the stage's share of labelled examples.
        """
        output = self.vae(inputs, y)
        log_likelihood = self.vae.log_likelihood(output, x)
        kl = self.vae.kl_divergence(output.q, output.z)
        loss = self.objective(self.vae, Pass(x, y, output, log_likelihood, kl), beta)
        terms = {"log_likelihood": log_likelihood, "kl_per_latent": kl}
        if self.vae.classifier is not None and y is not None:
            terms["cross_entropy"] = labelled_cross_entropy(self.vae.classify(output.z), y, labelled)
            loss = loss + self.classifier_weight * terms["cross_entropy"]
        return {"loss": loss, **terms}, output

    def _measures(self, output: VAEOutput, x: Tensor, y: Tensor, labelled: float = 1.0) -> dict[str, Tensor]:
        measures = reconstruction_measures(output.p.mean, x, len(self.vae.x_shape))
        if self.vae.classifier is None:
            return measures
        # Predictions use the point that represents the posterior, not a draw.
        logits = self.vae.classify(self.vae.sampler.code(output.q))
        return {**measures, "accuracy": accuracy(logits, y, labelled)}

    def seed_batch(self, stage: int, epoch: int, batch_idx: int) -> None:
        """Seed all randomness until the next call by the module's seed and the arguments, alike on all devices.

        Devices with loaders of their own, which Lightning deals with, draw independently of one another.
        """
        rank = self.global_rank if self._data is None else 0
        seed_generator(self.device, batch_seed(self.seed, stage, epoch, batch_idx, rank))

    def on_train_epoch_end(self) -> None:
        self._log_means("train", self.train_means, self._last_used)
        self._step_plateau()

    def _step_plateau(self) -> None:
        """Step a plateau schedule: on the validation loss in epochs with validation, else on the training loss.

        Lightning would step it after this epoch's checkpoint.
        """
        scheduler = self.lr_schedulers()
        validates = bool(self.trainer.limit_val_batches)
        if isinstance(scheduler, ReduceLROnPlateau) and validates == self._validated:
            scheduler.step(self.trainer.callback_metrics["val/loss" if validates else "train/loss"])
        self._validated = False

    def on_validation_epoch_end(self) -> None:
        self._validated = True
        self._log_means("val", self.validation_means)

    def on_test_epoch_end(self) -> None:
        for protocol, means in self._test_means.items():
            self._log_means(protocol, means)

    def _log_means(self, prefix: str, means: MeanOverExamples, extra: Mapping[str, float] | None = None) -> None:
        """Log epoch means, in nats per example unless the name says per pixel, and reset them."""
        values = means.compute()
        means.reset()
        values = with_totals(values, self.vae.sampler.has_elbo)
        named = {f"{prefix}/{name}": value for name, value in (values | dict(extra or {})).items()}
        on_bar = {name: value for name, value in named.items() if name.endswith("/loss")}
        self.log_dict(on_bar, prog_bar=True)
        self.log_dict({name: value for name, value in named.items() if name not in on_bar})

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        if not isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        flush_denormals(True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        if self.make_optimizer is None:
            raise ValueError("this module was built without an optimizer and cannot be trained")
        optimizer = self.make_optimizer(self.vae.parameters())
        optimizer.register_step_post_hook(lambda *_: flush_denormals(False))
        if self.make_scheduler is None:
            return {"optimizer": optimizer}
        # Lightning requires a monitor for a plateau schedule, although _step_plateau steps it.
        schedule = LRSchedulerConfigType(
            scheduler=self.make_scheduler(optimizer), monitor="train/loss", strict=False, interval="epoch"
        )
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[CHECKPOINT_KEY] = self.description

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # Old checkpoints hold the sums of the test.
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name: value for name, value in state.items() if not name.startswith("test_means.")}
        # Lightning loads weights before it makes a model double (trainer.precision=64-true), which would round them.
        self.vae.to(next((value.dtype for value in vae_weights(checkpoint).values()), self.dtype))


def vae_weights(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The model weights of ``checkpoint`` by their names in the model."""
    state = checkpoint["state_dict"]
    return {name.removeprefix("vae."): value for name, value in state.items() if name.startswith("vae.")}
