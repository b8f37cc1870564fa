"""Many runs trained as one model with a leading run axis.

Runs may differ in everything that is elementwise over runs: seed, noise, β, learning rate and its schedule, and the
parameters of prior and likelihood. Each keeps the initial weights, the order of batches and the random draws that it
has alone.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_hydra.base.draws import DrawsOfRuns
from vae_hydra.data.datamodule import DataModule
from vae_hydra.data.examples import Examples
from vae_hydra.distributions import with_axis
from vae_hydra.model.stacking import member_state, stack_models
from vae_hydra.training.batch_seeds import TEST, TRAIN, VALIDATION, batch_seed
from vae_hydra.training.lightning_progress import progress_record
from vae_hydra.training.metrics import MeansOfRuns, defined, image_measures, with_totals
from vae_hydra.training.module import CHECKPOINT_KEY, VAEModule, vae_weights
from vae_hydra.training.protocols import image_measure_names, in_order
from vae_hydra.training.shared_noise import SharedNoise, shared_noises
from vae_hydra.training.stacked_optimizer import StackedOptimizer

Scores = dict[str, float]


class Stack:
    """M runs as one model.

    Args:
        modules: the runs, as built for training alone; their models have one shape.
        data: the data of one of them; only the order of batches differs between runs.
        orders: seed of the order of batches, one for each run.
        max_epochs: number of epochs, which ends the schedules of β.
        clip: greatest norm of a run's gradient; None for no limit.
        device: device of the stack.
        mixed: whether networks compute in bfloat16, as with trainer.precision=bf16-mixed.

    Attributes:
        epoch: number of completed epochs.
        kl_per_latent: mean KL of each latent in the latest epoch [nats], [M, L], on the CPU.

    Raises:
        CannotStack: for models with a layer that has no stacked version.
    """

    def __init__(
        self,
        modules: Sequence[VAEModule],
        data: DataModule,
        orders: Sequence[int],
        max_epochs: int,
        clip: float | None = None,
        device: torch.device | str = "cpu",
        mixed: bool = False,
    ) -> None:
        self.data, self.max_epochs, self.clip, self.device = data, max_epochs, clip, torch.device(device)
        self.mixed = mixed
        self.epoch = 0
        self.kl_per_latent = torch.empty(0)
        self._served = Examples(data.served.x.to(self.device), data.served.y.to(self.device))
        self.steps_per_epoch = math.ceil(len(self._served) / data.batch_size)
        for module in modules:
            schedule = module.beta_schedule
            schedule.last = (max_epochs if schedule.unit == "epoch" else max_epochs * self.steps_per_epoch) - 1
        self._build(list(modules), list(orders))

    def _build(self, modules: list[VAEModule], orders: list[int]) -> None:
        self.modules, self.orders = modules, orders
        first = modules[0]
        vae = stack_models([module.vae for module in modules]).to(self.device)
        self._generators = [torch.Generator(self.device) for _ in modules]
        # A method would tie the stack to its model, and keep both in memory until Python looks for such rings.
        vae.draw = partial(_draw_latents, self._generators)  # type: ignore[method-assign]
        self._module = VAEModule(
            vae,
            first.noise,
            first.beta_schedule,
            first.objective,
            classifier_weight=first.classifier_weight,
            train_labelled=first.train_labelled,
            validation_labelled=first.validation_labelled,
        )
        self.optimizer = StackedOptimizer(modules, dict(vae.named_parameters()), self.clip)
        for module in modules:
            module.noise.to(self.device)
            module.test_noises.to(self.device)
        self._noises = shared_noises([module.noise for module in modules])

    def __len__(self) -> int:
        return len(self.modules)

    def train_epoch(self, between_batches: Callable[[], None] = lambda: None) -> list[Scores]:
        """Train the coming epoch; ``train/…`` of each run, means per example [nats]."""
        self._module.train()
        means = MeansOfRuns()
        order = torch.stack([self._order(seed) for seed in self.orders])
        for number, index in enumerate(order.split(self.data.batch_size, dim=1)):
            x = self.data.prepare(self._served.x[index]).to(self._module.dtype)
            self._seed(TRAIN, self.epoch, number)
            with DrawsOfRuns(self._generators):
                x = self.data.draw(x)
            noisy, y = self._noisy(x, self._noises), self._served.y[index]
            with self._precision():
                terms, _ = self._module._step(noisy, x, self._betas(number), y, self._module.train_labelled)
            means.add(terms)
            self.optimizer.descend(terms["loss"])
            between_batches()
        self.kl_per_latent = means.compute()["kl_per_latent"].cpu()
        betas = self._betas(self.steps_per_epoch - 1).flatten().tolist()
        rates = [rate.value for rate in self.optimizer.rates]
        self.epoch += 1
        return [
            {**scores, "train/beta": beta, "train/learning_rate": rate}
            for scores, beta, rate in zip(self._named("train", means), betas, rates, strict=True)
        ]

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed)

    def _order(self, seed: int) -> Tensor:
        # DistributedSampler shuffles in this way.
        generator = torch.Generator().manual_seed(seed + self.epoch)
        return torch.randperm(len(self._served), generator=generator).to(self.device)

    def _betas(self, batch: int) -> Tensor:
        step = self.epoch * self.steps_per_epoch + batch
        return self._along_runs([module.beta_schedule.at(step, self.epoch) for module in self.modules])

    def _final_betas(self) -> Tensor:
        return self._along_runs([module.beta_schedule.final for module in self.modules])

    def _along_runs(self, values: Sequence[float]) -> Tensor:
        """Numbers, one for each run, that broadcast with per-example terms: [M, 1]."""
        return torch.tensor(values, device=self.device).unsqueeze(1)

    def _seed(self, stage: int, epoch: int, batch: int) -> None:
        for module, generator in zip(self.modules, self._generators, strict=True):
            generator.manual_seed(batch_seed(module.seed, stage, epoch, batch))

    def _noisy(self, x: Tensor, noises: Sequence[SharedNoise]) -> Tensor:
        """x [M, B, …], each run's under its own noise."""
        if len(noises) == 1:
            return self._drawn(x, noises[0])
        parts = {run: part for one in noises for run, part in zip(one.runs, self._drawn(x[one.runs], one), strict=True)}
        return torch.stack([parts[run] for run in range(len(self))])

    def _drawn(self, x: Tensor, shared: SharedNoise) -> Tensor:
        with DrawsOfRuns([self._generators[run] for run in shared.runs]):
            return shared.noise(x)

    @torch.no_grad()
    def validate(self) -> list[Scores]:
        """``val/…`` of each run, at its final β."""
        self._module.eval()
        means, betas, share = MeansOfRuns(), self._final_betas(), self._module.validation_labelled
        for number, (x, y) in enumerate(self._batches(self.data.validating)):
            self._seed(VALIDATION, 0, number)
            with self._precision():
                terms, output = self._module._step(self._noisy(x, self._noises), x, betas, y, share)
                means.add(defined({**terms, **self._module._measures(output, x, y, share)}))
        return self._named("val", means)

    def is_annealed(self, run: int) -> bool:
        """Whether the run's β has reached its final value, as its module would report after the latest epoch."""
        return self.modules[run].beta_schedule.is_final(self.epoch * self.steps_per_epoch, self.epoch - 1)

    def _batches(self, examples: Examples) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches in stored order, the same for every run: [M, B, …]."""
        size = self.data.eval_batch_size
        for x, y in zip(examples.x.split(size), examples.y.split(size), strict=True):
            prepared = self.data.prepare(x.to(self.device)).to(self._module.dtype)
            yield prepared.expand(len(self), *x.shape), y.to(self.device).expand(len(self), *y.shape)

    @torch.no_grad()
    def test(self, weights: Sequence[Mapping[str, Tensor]]) -> list[Scores]:
        """Test scores of each run with the given weights, in the order of its protocols."""
        self.load_weights(weights)
        self._module.eval()
        low, high = self.data.value_range()
        found: list[Scores] = [{} for _ in self.modules]
        betas = self._final_betas()
        for protocol in dict.fromkeys(name for module in self.modules for name in module.protocols):
            means, noises = MeansOfRuns(), self._test_noises(protocol)
            for number, (x, y) in enumerate(self._batches(self.data.splits["test"])):
                self._seed(TEST, zlib.crc32(protocol.encode()), number)
                inputs = self._noisy(x, noises) if noises else self.modules[0].noise.clean(x)
                with self._precision():
                    terms, output = self._module._step(inputs, x, betas, y)
                    measures = {**self._module._measures(output, x, y), **_of_images(output.p.mean, x, high - low)}
                means.add(defined({**terms, **measures}))
            for module, all_scores, scores in zip(self.modules, found, self._named(protocol, means), strict=True):
                all_scores |= scores if protocol in module.protocols else {}
        return [in_order(scores, module.protocols) for scores, module in zip(found, self.modules, strict=True)]

    def _test_noises(self, protocol: str) -> list[SharedNoise]:
        """The noises of a protocol; none for clean input.

        A run without this protocol gets another run's noise, and its scores are not used.
        """
        own = [
            dict(zip(module.protocols[1:], module.test_noises, strict=True)).get(protocol) for module in self.modules
        ]
        known = next((noise for noise in own if noise is not None), None)
        return [] if known is None else shared_noises([noise or known for noise in own])  # type: ignore[misc]

    def _named(self, prefix: str, means: MeansOfRuns) -> list[Scores]:
        values = with_totals(means.compute(), self._module.vae.sampler.has_elbo)
        table = torch.stack(list(values.values())).T.tolist()
        return [dict(zip((f"{prefix}/{name}" for name in values), row, strict=True)) for row in table]

    def weights(self, run: int) -> dict[str, Tensor]:
        """The state dict of one run's model."""
        return member_state(self._module.vae.state_dict(), self.modules[run].vae, run)

    @torch.no_grad()
    def load_weights(self, weights: Sequence[Mapping[str, Tensor]]) -> None:
        """Set the weights of all runs, from one state dict for each."""
        for name, stacked in self._module.vae.state_dict().items():
            stacked.copy_(torch.stack([own[name].reshape(stacked.shape[1:]) for own in weights]))

    def keep(self, runs: Sequence[int]) -> None:
        """Continue with some of the runs; the others have failed or stopped early."""
        weights, states = [self.weights(run) for run in runs], [self.optimizer.state(run) for run in runs]
        rates = [self.optimizer.rates[run] for run in runs]
        self._build([self.modules[run] for run in runs], [self.orders[run] for run in runs])
        self.load_weights(weights)
        self.optimizer.load(states)
        self.optimizer.rates = rates

    def checkpoint(self, run: int, callbacks: Mapping[str, Any]) -> dict[str, Any]:
        """The checkpoint that Lightning would save of one run alone, after the latest epoch.

        Args:
            run: its number in the stack.
            callbacks: state of its callbacks, by their keys.
        """
        module, rate = self.modules[run], self.optimizer.rates[run]
        weights = {f"vae.{name}": value.cpu() for name, value in self.weights(run).items()}
        means = {name: value for name, value in module.state_dict().items() if "_means." in name}
        validation = math.ceil(len(self.data.validating) / self.data.eval_batch_size)
        return {
            "epoch": self.epoch - 1,
            "global_step": self.epoch * self.steps_per_epoch,
            "pytorch-lightning_version": L.__version__,
            "state_dict": {**weights, **means},
            "loops": progress_record(self.epoch, self.steps_per_epoch, validation, rate.counts(self.epoch)),
            "callbacks": dict(callbacks),
            "optimizer_states": [self.optimizer.state(run)],
            "lr_schedulers": rate.schedules(),
            CHECKPOINT_KEY: module.description,
        }

    def resume(self, checkpoints: Sequence[Mapping[str, Any]]) -> None:
        """Continue from one checkpoint for each run, all after the same epoch."""
        self.epoch = checkpoints[0]["epoch"] + 1
        self.load_weights([vae_weights(checkpoint) for checkpoint in checkpoints])
        self.optimizer.load([checkpoint["optimizer_states"][0] for checkpoint in checkpoints])
        for rate, checkpoint in zip(self.optimizer.rates, checkpoints, strict=True):
            rate.resume(checkpoint)


def _draw_latents(generators: Sequence[torch.Generator], q: Distribution, draws: int | None = None) -> Tensor:
    with DrawsOfRuns(generators):
        return (q if draws is None else with_axis(q, 1, draws)).rsample()


def _of_images(reconstruction: Tensor, x: Tensor, span: float) -> dict[str, Tensor]:
    """``image_measures`` of images [M, B, C, H, W], each [M, B]; none for vectors."""
    if not image_measure_names(x.shape[2:]):
        return {}
    found = image_measures(reconstruction.flatten(0, 1), x.flatten(0, 1), span)
    return {name: values.unflatten(0, x.shape[:2]) for name, values in found.items()}
