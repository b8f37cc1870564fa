"""One optimizer for the parameters of many runs, each with a learning rate of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from vae_hydra.training.denormals import flush_denormals
from vae_hydra.training.module import VAEModule

# What torch's optimizers keep once for a parameter, not for each of its values.
COUNTS = ("step", "mu_product")


class LearningRate:
    """The learning rate of one run, from the optimizer and the schedule that it has alone."""

    def __init__(self, module: VAEModule) -> None:
        assert module.make_optimizer is not None
        self.optimizer = module.make_optimizer([nn.Parameter(torch.zeros(1))])
        self.scheduler = module.make_scheduler(self.optimizer) if module.make_scheduler else None

    @property
    def value(self) -> float:
        """The rate of the coming epoch."""
        return self.optimizer.param_groups[0]["lr"]

    def step(self, loss: float) -> None:
        """Advance the schedule by an epoch; a plateau schedule reads ``loss``."""
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(loss)
        elif self.scheduler is not None:
            # torch warns of a schedule whose optimizer has made no step.
            self.optimizer._opt_called = True  # type: ignore[attr-defined]
            self.scheduler.step()

    def counts(self, epochs: int) -> tuple[int, int]:
        """Steps of the schedule that Lightning records with an epoch's checkpoint: in total, and in this epoch."""
        if self.scheduler is None:
            return 0, 0
        # Lightning counts the step of a plateau schedule after the checkpoint.
        return (epochs - 1, 0) if isinstance(self.scheduler, ReduceLROnPlateau) else (epochs, 1)

    def group(self, parameters: int) -> dict[str, Any]:
        """The group of all parameters in the state dict of the run's optimizer."""
        return {**self.optimizer.state_dict()["param_groups"][0], "params": list(range(parameters))}

    def schedules(self) -> list[dict[str, Any]]:
        """The state dict of the schedule, if there is one."""
        return [self.scheduler.state_dict()] if self.scheduler else []

    def resume(self, checkpoint: Mapping[str, Any]) -> None:
        """Continue from a run's checkpoint."""
        self.optimizer.param_groups[0]["lr"] = checkpoint["optimizer_states"][0]["param_groups"][0]["lr"]
        if self.scheduler:
            self.scheduler.load_state_dict(checkpoint["lr_schedulers"][0])


class StackedOptimizer:
    """The optimizer of M runs, for parameters [M, …].

    Its steps must be proportional to the learning rate.

    Args:
        modules: the runs, as built for training alone.
        parameters: name → stacked parameter.
        clip: greatest norm of a run's gradient; None for no limit.
    """

    def __init__(
        self, modules: Sequence[VAEModule], parameters: Mapping[str, nn.Parameter], clip: float | None = None
    ) -> None:
        assert modules[0].make_optimizer is not None
        self.rates = [LearningRate(module) for module in modules]
        self.parameters, self.clip = list(parameters.values()), clip
        # The shapes of each parameter in a run alone: stacked scales have further axes.
        alone = dict(modules[0].vae.named_parameters())
        self._shapes = [alone[name].shape for name in parameters]
        self._optimizer = modules[0].make_optimizer(self.parameters)

    def descend(self, loss: Tensor) -> None:
        """One step for per-example losses [M, B]."""
        self._optimizer.zero_grad()
        # A run's parameters have no part in the losses of others, so each gets its own gradient.
        loss.mean(1).sum().backward()
        if self.clip is not None:
            self._clip(self.clip)
        flush_denormals(True)
        self._step([rate.value for rate in self.rates])
        flush_denormals(False)

    def _step(self, rates: Sequence[float]) -> None:
        (group,) = self._optimizer.param_groups
        if len(set(rates)) == 1:
            group["lr"] = rates[0]
            self._optimizer.step()
        else:
            group["lr"] = 1.0
            self._scaled_step(rates)

    @torch.no_grad()
    def _scaled_step(self, rates: Sequence[float]) -> None:
        """A step of rate 1, scaled to the rate of each run."""
        before = [parameter.clone() for parameter in self.parameters]
        self._optimizer.step()
        scale = torch.tensor(rates, device=self.parameters[0].device)
        for parameter, old in zip(self.parameters, before, strict=True):
            parameter.copy_(torch.lerp(old, parameter, _along_runs(scale, old)))

    def _clip(self, limit: float) -> None:
        """Scale each run's gradient to a norm of at most ``limit``."""
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
        scale = (limit / (norms + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(_along_runs(scale, gradient))

    def state(self, run: int) -> dict[str, Any]:
        """The state dict that the optimizer of one run alone would have."""
        state = {
            number: {key: self._of_run(run, number, key, value) for key, value in values.items()}
            for number, values in self._optimizer.state_dict()["state"].items()
        }
        return {"state": state, "param_groups": [self.rates[run].group(len(self.parameters))]}

    def _of_run(self, run: int, number: int, key: str, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return value.clone() if key in COUNTS else value[run].reshape(self._shapes[number]).clone()

    def load(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Continue from state dicts of optimizers, one for each run."""
        stacked = self._optimizer.state_dict()
        for number, parameter in enumerate(self.parameters):
            # Plain SGD keeps nothing, and no optimizer does for a parameter without a gradient.
            values = [state["state"][number] for state in states if number in state["state"]]
            if values:
                stacked["state"][number] = {key: _of_all(key, values, parameter) for key in values[0]}
        self._optimizer.load_state_dict(stacked)


def _along_runs(values: Tensor, like: Tensor) -> Tensor:
    """Values [M] that broadcast with a tensor [M, …]."""
    return values.reshape(-1, *[1] * (like.dim() - 1))


def _of_all(key: str, values: Sequence[Mapping[str, Any]], parameter: Tensor) -> Any:
    """An entry of the states of all runs for a stacked parameter."""
    first = values[0][key]
    if key in COUNTS or not isinstance(first, Tensor):
        return first
    return torch.stack([one[key] for one in values]).reshape(parameter.shape)
