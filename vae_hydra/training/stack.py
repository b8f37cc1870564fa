"""Many runs trained as one model with a leading run axis.

Members differ in what is elementwise over runs: seed, noise, β, learning rate and its schedule, and the parameters of
prior and likelihood. Each has the initial weights, the order of batches and the random draws that it would have alone.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.optim.lr_scheduler import ReduceLROnPlateau

from vae_hydra.base.draws import DrawsOfRuns
from vae_hydra.data.datamodule import DataModule
from vae_hydra.data.examples import Examples
from vae_hydra.data.noise import Noise
from vae_hydra.model.stacking import member_state, stack_models
from vae_hydra.training.metrics import defined, image_measures
from vae_hydra.training.module import CHECKPOINT_KEY, TEST, TRAIN, VALIDATION, VAEModule
from vae_hydra.training.protocols import image_measure_names

Scores = dict[str, float]


class LearningRate:
    """The learning rate of one member: what its optimizer and schedule would have alone."""

    def __init__(self, module: VAEModule) -> None:
        assert module.make_optimizer is not None
        self.optimizer = module.make_optimizer([nn.Parameter(torch.zeros(1))])
        self.scheduler = module.make_scheduler(self.optimizer) if module.make_scheduler else None

    @property
    def value(self) -> float:
        """The rate of the coming epoch."""
        return self.optimizer.param_groups[0]["lr"]

    def steps(self, epochs: int) -> tuple[int, int]:
        """Lightning's count of steps when it saves the checkpoint of an epoch: in all, and in this epoch."""
        if self.scheduler is None:
            return 0, 0
        # It counts a plateau schedule's after the checkpoint.
        return (epochs - 1, 0) if isinstance(self.scheduler, ReduceLROnPlateau) else (epochs, 1)

    def step(self, loss: float) -> None:
        """Go on to the next epoch; ``loss`` is what a plateau schedule looks at."""
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(loss)
        elif self.scheduler is not None:
            # Without a step of the optimizer, torch warns that the order is wrong.
            self.optimizer._opt_called = True  # type: ignore[attr-defined]
            self.scheduler.step()


class Stack:
    """M runs as one model.

    Args:
        modules: the members, as built for training alone; their models have one shape.
        data: of one of them; members differ in the order of batches alone.
        orders: seed of the order of batches, one a member.
        max_epochs: number of epochs, which schedules of β are fitted to.
        clip: greatest norm of a member's gradient; None for no limit.
        device: where the stack is trained.
    """

    def __init__(
        self,
        modules: Sequence[VAEModule],
        data: DataModule,
        orders: Sequence[int],
        max_epochs: int,
        clip: float | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.modules, self.data, self.orders = list(modules), data, list(orders)
        self.max_epochs, self.clip, self.device = max_epochs, clip, torch.device(device)
        self.epoch = 0
        self.rates = [LearningRate(module) for module in modules]
        self._build()
        self.optimizer = self._first.make_optimizer(self.step_module.vae.parameters())  # type: ignore[misc]
        served = data.served
        self._served = Examples(served.x.to(self.device), served.y.to(self.device))
        self.steps_per_epoch = math.ceil(len(served) / data.batch_size)
        for module in modules:
            schedule = module.beta_schedule
            schedule.last = (max_epochs if schedule.unit == "epoch" else max_epochs * self.steps_per_epoch) - 1

    def _build(self) -> None:
        first = self._first
        vae = stack_models([module.vae for module in self.modules]).to(self.device)
        vae.draw = self._draw_latents  # type: ignore[method-assign]
        self.step_module = VAEModule(
            vae,
            first.noise,
            first.beta_schedule,
            first.objective,
            classifier_weight=first.classifier_weight,
            train_labelled=first.train_labelled,
            validation_labelled=first.validation_labelled,
        )
        self.generators = [torch.Generator(self.device) for _ in self.modules]
        self.noises = [module.noise.to(self.device) for module in self.modules]

    def __len__(self) -> int:
        return len(self.modules)

    @property
    def _first(self) -> VAEModule:
        return self.modules[0]

    def train_epoch(self, between_batches: Callable[[], None] = lambda: None) -> list[Scores]:
        """Train the coming epoch; ``train/…`` of each member, means per example [nats]."""
        self.step_module.train()
        means, rates = _Means(len(self)), [rate.value for rate in self.rates]
        order = torch.stack([self._order(seed) for seed in self.orders])
        for number, index in enumerate(order.split(self.data.batch_size, dim=1)):
            x = self.data.prepare(self._served.x[index]).to(self.step_module.dtype)
            self._seed(TRAIN, self.epoch, number)
            with DrawsOfRuns(self.generators):
                x = self.data.draw(x)
            betas = self._betas(number)
            terms, _ = self._step(self._noisy(x, self.noises), x, betas, self._served.y[index], "train")
            means.add(terms)
            self._descend(terms["loss"], rates)
            between_batches()
        self.kl_per_latent = means.kl_per_latent().cpu()
        last = self._betas(self.steps_per_epoch - 1).flatten().tolist()
        self.epoch += 1
        return [
            {**scores, "train/beta": beta, "train/learning_rate": rate}
            for scores, beta, rate in zip(self._named("train", means), last, rates, strict=True)
        ]

    def _order(self, seed: int) -> Tensor:
        # As DistributedSampler shuffles.
        generator = torch.Generator().manual_seed(seed + self.epoch)
        return torch.randperm(len(self._served), generator=generator).to(self.device)

    def _betas(self, batch: int) -> Tensor:
        step = self.epoch * self.steps_per_epoch + batch
        values = [
            module.beta_schedule(step if module.beta_schedule.unit == "step" else self.epoch) for module in self.modules
        ]
        return torch.tensor(values, device=self.device).unsqueeze(1)

    def _seed(self, stage: int, epoch: int, batch: int) -> None:
        for module, generator in zip(self.modules, self.generators, strict=True):
            entropy = (module.seed, stage, epoch, batch, 0)
            generator.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))

    def _noisy(self, x: Tensor, noises: Sequence[Noise]) -> Tensor:
        """x [M, B, …] under one noise a member."""
        groups: dict[str, list[int]] = {}
        for member, noise in enumerate(noises):
            groups.setdefault(repr(noise), []).append(member)
        if len(groups) == 1:
            return self._draw_noise(x, noises[0], range(len(self)))
        parts = {m: part for members in groups.values() for m, part in self._parts(x, noises, members)}
        return torch.stack([parts[member] for member in range(len(self))])

    def _parts(self, x: Tensor, noises: Sequence[Noise], members: list[int]) -> list[tuple[int, Tensor]]:
        return list(zip(members, self._draw_noise(x[members], noises[members[0]], members), strict=True))

    def _draw_noise(self, x: Tensor, noise: Noise, members: Sequence[int]) -> Tensor:
        with DrawsOfRuns([self.generators[member] for member in members]):
            return noise(x)

    def _step(self, inputs: Tensor, x: Tensor, betas: Tensor, y: Tensor, stage: str) -> tuple[dict[str, Tensor], Any]:
        share = getattr(self._first, f"{stage}_labelled", 1.0)
        return self.step_module._step(inputs, x, betas, y, share)

    def _draw_latents(self, q: Distribution) -> Tensor:
        with DrawsOfRuns(self.generators):
            return q.rsample()

    def _descend(self, loss: Tensor, rates: Sequence[float]) -> None:
        parameters = list(self.step_module.vae.parameters())
        self.optimizer.zero_grad()
        # The gradient of a sum of members' losses is each member's own.
        loss.mean(1).sum().backward()
        if self.clip is not None:
            _clip(parameters, self.clip)
        (group,) = self.optimizer.param_groups
        if len(set(rates)) == 1:
            group["lr"] = rates[0]
            self.optimizer.step()
            return
        # The steps of these optimizers are proportional to the rate: one of rate 1 is scaled for each member.
        group["lr"] = 1.0
        before = [parameter.detach().clone() for parameter in parameters]
        self.optimizer.step()
        with torch.no_grad():
            scale = torch.tensor(rates, device=self.device)
            for parameter, old in zip(parameters, before, strict=True):
                parameter.copy_(torch.lerp(old, parameter, scale.reshape(-1, *[1] * (old.dim() - 1))))

    @torch.no_grad()
    def validate(self) -> list[Scores]:
        """``val/…`` of each member, with the β that it ends with."""
        self.step_module.eval()
        means = _Means(len(self))
        betas = self._final_betas()
        for number, (x, y) in enumerate(self._batches(self.data.validating)):
            self._seed(VALIDATION, 0, number)
            terms, output = self._step(self._noisy(x, self.noises), x, betas, y, "validation")
            means.add(defined({**terms, **self.step_module._measures(output, x, y, self._first.validation_labelled)}))
        return self._named("val", means)

    def is_annealed(self, member: int) -> bool:
        """Whether the member's β has reached the value that training ends with."""
        schedule = self.modules[member].beta_schedule
        t = self.epoch * self.steps_per_epoch if schedule.unit == "step" else self.epoch - 1
        return math.isclose(schedule(t), schedule.final)

    def _final_betas(self) -> Tensor:
        return torch.tensor([m.beta_schedule.final for m in self.modules], device=self.device).unsqueeze(1)

    def _batches(self, examples: Examples) -> list[tuple[Tensor, Tensor]]:
        """Batches in stored order, the same of every member: [M, B, …]."""
        size = self.data.eval_batch_size
        parts = zip(examples.x.split(size), examples.y.split(size), strict=True)
        return [
            (
                self.data.prepare(x.to(self.device)).to(self.step_module.dtype).expand(len(self), *x.shape),
                y.to(self.device).expand(len(self), *y.shape),
            )
            for x, y in parts
        ]

    @torch.no_grad()
    def test(self, weights: Sequence[Mapping[str, Tensor]]) -> list[Scores]:
        """Test scores of each member with its weights, under its protocols in their order."""
        self.load_weights(weights)
        self.step_module.eval()
        low, high = self.data.value_range()
        found: list[Scores] = [{} for _ in self.modules]
        batches, betas = self._batches(self.data.splits["test"]), self._final_betas()
        for protocol in dict.fromkeys(name for module in self.modules for name in module.protocols):
            means = _Means(len(self))
            for number, (x, y) in enumerate(batches):
                self._seed(TEST, zlib.crc32(protocol.encode()), number)
                terms, output = self._step(self._test_input(x, protocol), x, betas, y, "test")
                measures = self.step_module._measures(output, x, y)
                means.add(defined({**terms, **measures, **self._image_measures(output.p.mean, x, high - low)}))
            for module, all_scores, scores in zip(self.modules, found, self._named(protocol, means), strict=True):
                if protocol in module.protocols:
                    all_scores |= scores
        ordered = [{p: i for i, p in enumerate(module.protocols)} for module in self.modules]
        return [
            dict(sorted(scores.items(), key=lambda item: (places[item[0].rpartition("/")[0]], item[0])))
            for scores, places in zip(found, ordered, strict=True)
        ]

    def _test_input(self, x: Tensor, protocol: str) -> Tensor:
        """x under the noise of a protocol; members that are not tested by it get the clean input."""
        noises = []
        for module in self.modules:
            inputs = dict(zip(module.protocols[1:], module.test_noises, strict=True))
            noises.append(inputs.get(protocol))
        known = next((noise for noise in noises if noise is not None), None)
        if known is None:
            return self._first.noise.clean(x)
        return self._noisy(x, [noise or known for noise in noises])  # type: ignore[misc]

    def _image_measures(self, reconstruction: Tensor, x: Tensor, span: float) -> dict[str, Tensor]:
        if not image_measure_names(self.step_module.vae.x_shape):
            return {}
        lead = x.shape[:2]
        found = image_measures(reconstruction.flatten(0, 1), x.flatten(0, 1), span)
        return {name: values.unflatten(0, lead) for name, values in found.items()}

    def _named(self, prefix: str, means: _Means) -> list[Scores]:
        values = means.compute()
        if self.step_module.vae.sampler.has_elbo:
            values["elbo"] = values["log_likelihood"] - values["kl"]
        table = torch.stack(list(values.values())).T.tolist()
        return [dict(zip((f"{prefix}/{name}" for name in values), row, strict=True)) for row in table]

    def weights(self) -> list[dict[str, Tensor]]:
        """The state dict of each member's model."""
        state = self.step_module.vae.state_dict()
        return [member_state(state, module.vae, m) for m, module in enumerate(self.modules)]

    def load_weights(self, weights: Sequence[Mapping[str, Tensor]]) -> None:
        """Put a state dict a member into the stack."""
        state = self.step_module.vae.state_dict()
        for name, stacked in state.items():
            stacked.copy_(torch.stack([own[name].reshape(stacked.shape[1:]) for own in weights]))

    def keep(self, members: Sequence[int]) -> None:
        """Go on with some of the members alone: the others have failed, or stopped early."""
        states = [self.optimizer_state(m) for m in members]
        weights = self.weights()
        self.modules = [self.modules[m] for m in members]
        self.orders = [self.orders[m] for m in members]
        self.rates = [self.rates[m] for m in members]
        self._build()
        self.optimizer = self._first.make_optimizer(self.step_module.vae.parameters())  # type: ignore[misc]
        self.load_weights([weights[m] for m in members])
        self.load_optimizer_states(states)

    def optimizer_state(self, member: int) -> dict[str, Any]:
        """The state dict that the member's optimizer would have alone."""
        rate = self.rates[member]
        names = [name for name, _ in self.step_module.vae.named_parameters()]
        likes = dict(self.modules[member].vae.named_parameters())
        state = {}
        for number, (name, values) in enumerate(
            zip(names, self.optimizer.state_dict()["state"].values(), strict=False)
        ):
            shape = likes[name].shape
            state[number] = {
                key: value[member].reshape(shape).clone() if _is_per_parameter(value) else value
                for key, value in values.items()
            }
        group = {**rate.optimizer.state_dict()["param_groups"][0], "params": list(range(len(names)))}
        return {"state": state, "param_groups": [group]}

    def load_optimizer_states(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Put the state of one optimizer a member into that of the stack."""
        own = self.optimizer.state_dict()
        shapes = [parameter.shape for parameter in self.step_module.vae.parameters()]
        for number in states[0]["state"]:
            values = [state["state"][number] for state in states]
            own["state"][number] = {
                key: torch.stack([one[key] for one in values]).reshape(shapes[number])
                if _is_per_parameter(value)
                else value
                for key, value in values[0].items()
            }
        self.optimizer.load_state_dict(own)

    def checkpoint(self, member: int, callbacks: Mapping[str, Any]) -> dict[str, Any]:
        """What Lightning would save of the member trained alone, after the latest epoch.

        Args:
            member: its number in the stack.
            callbacks: state of its callbacks, by their keys.
        """
        module, rate = self.modules[member], self.rates[member]
        state = {f"vae.{name}": value.cpu() for name, value in self.weights()[member].items()}
        means = {name: value for name, value in module.state_dict().items() if "_means." in name}
        scheduler = [rate.scheduler.state_dict()] if rate.scheduler else []
        return {
            "epoch": self.epoch - 1,
            "global_step": self.epoch * self.steps_per_epoch,
            "pytorch-lightning_version": L.__version__,
            "state_dict": {**state, **means},
            "loops": _loops(
                self.epoch, self.steps_per_epoch, len(self._batches_of_validation()), rate.steps(self.epoch)
            ),
            "callbacks": dict(callbacks),
            "optimizer_states": [self.optimizer_state(member)],
            "lr_schedulers": scheduler,
            CHECKPOINT_KEY: module.description,
        }

    def _batches_of_validation(self) -> range:
        return range(math.ceil(len(self.data.validating) / self.data.eval_batch_size))

    def resume(self, checkpoints: Sequence[Mapping[str, Any]]) -> None:
        """Go on from one checkpoint a member, all of one epoch."""
        self.epoch = checkpoints[0]["epoch"] + 1
        self.load_weights([_weights_of(checkpoint) for checkpoint in checkpoints])
        self.load_optimizer_states([one["optimizer_states"][0] for one in checkpoints])
        for rate, one in zip(self.rates, checkpoints, strict=True):
            rate.optimizer.param_groups[0]["lr"] = one["optimizer_states"][0]["param_groups"][0]["lr"]
            if rate.scheduler:
                rate.scheduler.load_state_dict(one["lr_schedulers"][0])


class _Means:
    """Mean over examples of per-example terms [M, B] or [M, B, n], for each member."""

    def __init__(self, members: int) -> None:
        self.members, self.count = members, 0
        self.sums: dict[str, Tensor] = {}

    def add(self, terms: Mapping[str, Tensor]) -> None:
        for name, term in terms.items():
            total = term.detach().sum(1)
            self.sums[name] = self.sums[name] + total if name in self.sums else total
        self.count += next(iter(terms.values())).shape[1]

    def kl_per_latent(self) -> Tensor:
        """Mean KL of each latent [nats], [M, L]."""
        return self.sums["kl_per_latent"] / self.count

    def compute(self) -> dict[str, Tensor]:
        """Means [M] by name; ``kl`` is the sum over the latents."""
        values = {name: total / self.count for name, total in self.sums.items()}
        values["kl"] = values.pop("kl_per_latent").sum(1)
        return values


def _clip(parameters: Sequence[nn.Parameter], limit: float) -> None:
    """Scale each member's gradient to a norm of at most ``limit``."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
    scale = (limit / (norms + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale.reshape(-1, *[1] * (gradient.dim() - 1)))


def _weights_of(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    state = checkpoint["state_dict"].items()
    return {name.removeprefix("vae."): value for name, value in state if name.startswith("vae.")}


def _is_per_parameter(value: Any) -> bool:
    """Whether a value of an optimizer's state has the shape of a parameter: a count of steps has none."""
    return isinstance(value, Tensor) and value.dim() > 0


def _loops(epochs: int, steps: int, validation_batches: int, scheduled: tuple[int, int]) -> dict[str, Any]:
    """Lightning's record of progress at the end of an epoch; ``scheduled``: steps of the schedule, in all and now."""

    def progress(total: int, current: int) -> dict[str, Any]:
        keys = ("ready", "completed", "started", "processed")
        return {"total": dict.fromkeys(keys, total), "current": dict.fromkeys(keys, current)}

    def counted(total: int, current: int, *keys: str) -> dict[str, Any]:
        keys = ("ready", "completed", *keys)
        return {"total": dict.fromkeys(keys, total), "current": dict.fromkeys(keys, current)}

    def idle() -> dict[str, Any]:
        return {"state_dict": {}, "batch_progress": {**progress(0, 0), "is_last_batch": False}}

    done = epochs * steps
    epoch = dict.fromkeys(("ready", "started", "processed"), epochs) | {"completed": epochs - 1}
    validated = bool(validation_batches)
    return {
        "fit_loop": {
            "state_dict": {"combined_loader": [{}]},
            "epoch_loop.state_dict": {"_batches_that_stepped": done},
            "epoch_loop.batch_progress": {**progress(done, steps), "is_last_batch": True},
            "epoch_loop.scheduler_progress": counted(*scheduled),
            "epoch_loop.automatic_optimization.state_dict": {},
            "epoch_loop.automatic_optimization.optim_progress": {
                "optimizer": {"step": counted(done, steps), "zero_grad": counted(done, steps, "started")}
            },
            "epoch_loop.manual_optimization.state_dict": {},
            "epoch_loop.manual_optimization.optim_step_progress": counted(0, 0),
            "epoch_loop.val_loop.state_dict": {},
            "epoch_loop.val_loop.batch_progress": {
                **progress(validation_batches, validation_batches),
                "is_last_batch": validated,
            },
            "epoch_progress": {"total": dict(epoch), "current": dict(epoch)},
        },
        "validate_loop": idle(),
        "test_loop": idle(),
        "predict_loop": {"state_dict": {}, "batch_progress": progress(0, 0)},
    }
