"""Which runs of a sweep are trained together as one model, and why others are not."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vae_hydra.base import nested
from vae_hydra.runs.partial import is_trial

Config = Mapping[str, Any]

# Options that may differ between the runs of a stack: folders, and options that act elementwise over runs.
FREE = (
    "seed",
    "output_dir",
    "tags",
    "trust",
    "stack",
    "cells",
    "compile",
    "beta",
    "scheduler",
    "optimizer.lr",
    "sampler.df",
    "likelihood.scale",
    "likelihood.df",
    "likelihood.threshold",
    "likelihood.shape",
    "likelihood.concentration",
)
# Parts that must take a run axis: our own do.
PARTS = ("model.encoder", "model.decoder", "sampler", "likelihood", "noise", "condition", "classifier.head")
# Samplers with weights, which have no stacked version.
NETWORKS = ("vae_hydra.model.samplers.FlowSampler",)
# Trained priors that have one.
PRIORS = tuple(f"vae_hydra.model.priors.{name}" for name in ("LearnedPrior", "MixturePrior", "VampPrior"))
# Objectives that are elementwise over runs: our own.
OBJECTIVES = (
    "vae_hydra.training.objective.ELBO",
    "vae_hydra.training.beta_divergence.BetaDivergence",
    "vae_hydra.training.gamma_power.GammaPower",
    "vae_hydra.training.importance.ImportanceWeighted",
    "vae_hydra.training.importance.CombinedBounds",
)
# Options of the trainer that a stack honours, and the only values of others with which runs are stacked.
FOLLOWED = ("max_epochs", "accelerator", "gradient_clip_val", "enable_model_summary", "num_sanity_val_steps")
PLAIN = {"devices": (1, "1"), "precision": ("32-true", 32, "32", "bf16-mixed"), "deterministic": (False,)}
# Optimizers whose steps are proportional to the learning rate.
OPTIMIZERS = tuple(f"torch.optim.{name}" for name in ("Adam", "AdamW", "NAdam", "RAdam", "Adamax", "SGD", "RMSprop"))
# Schedules of which that is not all: by default they change the momentum, too.
CYCLES = tuple(f"torch.optim.lr_scheduler.{name}" for name in ("OneCycleLR", "CyclicLR"))


class Stacks(NamedTuple):
    """A sweep's runs by their numbers: groups that are trained together, and others with the reason."""

    together: list[list[int]]
    alone: dict[int, str]

    def reasons(self) -> dict[str, list[int]]:
        """Reason → the runs that are trained alone for it."""
        found: dict[str, list[int]] = {}
        for number, reason in self.alone.items():
            found.setdefault(reason, []).append(number)
        return found


def stacks(configs: Sequence[Config], most: int) -> Stacks:
    """Groups of at most ``most`` runs that can be trained as one model, as even in size as can be."""
    groups: dict[str, list[int]] = {}
    alone = {}
    for number, config in enumerate(configs):
        reason = reason_against(config)
        if reason is None:
            groups.setdefault(shape_of(config), []).append(number)
        else:
            alone[number] = reason
    # A run without others of its shape is a stack of one, which is still faster than Lightning's loop.
    return Stacks([part for numbers in groups.values() for part in _even(numbers, most)], alone)


def _even(numbers: Sequence[int], most: int) -> list[list[int]]:
    parts = -(-len(numbers) // most)
    return [list(numbers[part::parts]) for part in range(parts)]


def reason_against(config: Config) -> str | None:
    """Why a run cannot be trained in a stack; None if it can."""
    if config.get("init_from") is not None:
        return "it starts from another run"
    if is_trial(config):
        return "debug=… or trainer.fast_dev_run, which start anew"
    for option in ("compile", "keep_optimizer"):
        if config.get(option):
            return f"{option}=true"
    if nested.get(config, "sampler._target_") in NETWORKS:
        return f"sampler={nested.get(config, 'sampler.name')} has a network of its own"
    prior = nested.get(config, "prior._target_")
    if prior and prior not in PRIORS:
        return f"prior={nested.get(config, 'prior.name')}"
    if nested.get(config, "objective._target_") not in OBJECTIVES:
        return f"objective={nested.get(config, 'objective.name')}"
    loggers = [name for name, node in (config.get("logger") or {}).items() if node]
    if loggers:
        return f"it logs to {', '.join(loggers)}"
    for option, value in config["trainer"].items():
        if option not in FOLLOWED and value not in PLAIN.get(option, ()):
            return f"trainer.{option}={value}"
    target = config["optimizer"].get("_target_")
    if target not in OPTIMIZERS:
        return f"the steps of {target} may not be proportional to its learning rate"
    if reason := _schedule_against(config.get("scheduler") or {}):
        return reason
    for part in PARTS:
        target = nested.get(config, f"{part}._target_")
        if target and not str(target).startswith("vae_hydra."):
            return f"{part} is {target}, which may take no run axis"
    return _callbacks_against(config["callbacks"])


def _schedule_against(schedule: Mapping[str, Any]) -> str | None:
    target = schedule.get("_target_")
    if target in CYCLES and schedule.get("cycle_momentum", True):
        return "its schedule also changes the momentum, unless scheduler.cycle_momentum=false"
    if target and not str(target).startswith("torch.optim.lr_scheduler."):
        return f"scheduler is {target}, which may change more than the learning rate"
    return None


def _callbacks_against(callbacks: Mapping[str, Any]) -> str | None:
    figures = callbacks.get("figures") or {}
    if figures.get("enabled") and (figures.get("every_n_epochs") or figures.get("epochs")):
        return "it draws figures while it trains"
    if not callbacks.get("finite_loss"):
        return "callbacks.finite_loss is left out"
    known = ("checkpoints", "finite_loss", "collapse", "timer", "figures", "histograms", "progress", "early_stopping")
    others = [name for name, node in callbacks.items() if node and name not in known]
    return f"it has the callbacks {', '.join(others)}" if others else None


def shape_of(config: Config) -> str:
    """A text that is equal for runs that can be trained as one model."""
    kept = copy.deepcopy(dict(config))
    kept["noise"] = config["noise"].get("mode", "additive")
    for path in FREE:
        nested.delete(kept, path)
    # The parameters of the prior may differ, its family may not.
    prior = nested.get(kept, "sampler.prior")
    if isinstance(prior, dict):
        kept["sampler"]["prior"] = [prior.get("_target_"), *sorted(prior)]
    return json.dumps(kept, sort_keys=True, default=str)
