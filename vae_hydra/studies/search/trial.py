"""A trial of a search: a run with the study's options, or one for each seed, trained for the validation ELBO."""

from __future__ import annotations

import logging
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.utils import get_class
from optuna import Trial
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState

from vae_hydra.base import checks
from vae_hydra.base.command.errors import UnknownOption, one_line
from vae_hydra.runs.checkpoint import read_checkpoint
from vae_hydra.runs.folder import Run
from vae_hydra.runs.resolve import resolve, without_hydra
from vae_hydra.runs.train import train
from vae_hydra.studies.search.space import suggest
from vae_hydra.studies.search.study import report
from vae_hydra.training.callbacks import InterruptGuard, Pruned, Pruning
from vae_hydra.training.history import read_epochs

log = logging.getLogger(__name__)

ELBO = "val/elbo"


def run_trial(
    trial: Trial, space: Mapping[str, BaseDistribution], fixed: Sequence[str], seeds: int, guard: InterruptGuard
) -> None:
    """Train a trial and tell the study its value; an error ends the trial, not the search."""
    overrides = [*fixed, *suggest(trial, space)]
    trial.set_user_attr("overrides", overrides)
    try:
        value = _value(trial, compose_runs(overrides, seeds), guard)
    except Pruned:
        trial.study.tell(trial, state=TrialState.PRUNED)
    except Exception as error:
        log.debug("trial %d failed", trial.number, exc_info=True)
        trial.set_user_attr("error", f"{type(error).__name__}: {one_line(error)}")
        trial.study.tell(trial, state=TrialState.FAIL)
    else:
        trial.study.tell(trial, value)


def compose_runs(overrides: Sequence[str], seeds: int) -> list[dict[str, Any]]:
    """The configurations of a trial's runs; their seeds count up from that of ``overrides``."""
    first = compose_trial(overrides)
    seed = checks.seed("seed", first["seed"])
    return [first, *(compose_trial([*overrides, f"seed={seed + more}"]) for more in range(1, seeds))]


def _value(trial: Trial, configs: Sequence[dict[str, Any]], guard: InterruptGuard) -> float:
    for config in configs:
        check_searchable(config)
    # Names of runs have no spaces.
    trial.set_user_attr("run", " ".join(Run.of(config).name for config in configs))
    if len(configs) == 1:
        return _train(trial, configs[0], guard)
    trial.set_user_attr("seeds", [config["seed"] for config in configs])
    return _train_seeds(trial, configs, guard)


def _train(trial: Trial, config: dict[str, Any], guard: InterruptGuard) -> float:
    """Train a trial's only run unless it is done, and return its objective.

    Raises:
        Pruned: if the study stops the run, now or for the epochs of an earlier start.
    """
    run = Run.of(config)
    with _keeping_error(run, config):
        known = [row for row in read_epochs(run.folder / "metrics.csv") if ELBO in row]
        hopeless = [report(trial, int(row["epoch"]) + 1, row[ELBO]) for row in known]
        if not run.is_done:
            if hopeless and hopeless[-1]:
                raise Pruned("other runs of the search were better by then")
            _fit(trial, config, guard, [Pruning(lambda epochs, elbo: report(trial, epochs, elbo))])
        return objective(run)


def _train_seeds(trial: Trial, configs: Sequence[dict[str, Any]], guard: InterruptGuard) -> float:
    """Train a trial's runs, one after the other, unless they are done; return the mean of their objectives.

    The study hears the mean over the seeds so far after each of them.

    Raises:
        Pruned: if the study stops the trial between two runs.
    """
    values: list[float] = []
    epochs, hopeless = 0, False
    for config in configs:
        run = Run.of(config)
        with _keeping_error(run, config):
            if not run.is_done:
                if hopeless:
                    raise Pruned("other trials of the search were better after as many seeds")
                _fit(trial, config, guard)
            values.append(objective(run))
            epochs += int(read_epochs(run.folder / "metrics.csv")[-1]["epoch"]) + 1
        trial.set_user_attr("epochs", epochs)
        hopeless = report(trial, len(values), statistics.fmean(values))
    return statistics.fmean(values)


@contextmanager
def _keeping_error(run: Run, config: Mapping[str, Any]) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        run.fail(config, error)
        raise


def _fit(trial: Trial, config: dict[str, Any], guard: InterruptGuard, watching: Sequence[Pruning] = ()) -> None:
    for options in config["logger"].values():
        if options and "group" in options:
            options["group"] = options["group"] or trial.study.study_name
    train(config, watching, guard, quiet=True)


def objective(run: Run) -> float:
    """The validation ELBO of a finished run, log p(x|z) − KL at β = 1 [nats per example].

    The value belongs to the epoch of best.ckpt, whose weights the run is scored with. The test set plays no part.

    Raises:
        ValueError: if that epoch was not validated, or its ELBO is not finite.
    """
    path = run.checkpoint_path()
    epoch = read_checkpoint(path)["epoch"]
    rows = [row for row in read_epochs(run.folder / "metrics.csv") if row["epoch"] == epoch]
    value = rows[-1].get(ELBO, math.nan) if rows else math.nan
    if not math.isfinite(value):
        raise ValueError(f"{run.folder}/metrics.csv has no finite {ELBO} of epoch {epoch}, the epoch of {path.name}")
    return value


def check_searchable(config: Mapping[str, Any]) -> None:
    """Raise ValueError for training without a validation ELBO, or with more than one device."""
    if config["dataset"].get("validation") == 0 or config["trainer"].get("limit_val_batches") == 0:
        raise ValueError(
            "a search compares runs by their validation ELBO, and there are no examples to validate on; "
            "set dataset.validation=0.1"
        )
    if not getattr(get_class(config["sampler"]["_target_"]), "has_elbo", True):
        raise ValueError(
            f"sampler={config['sampler'].get('name')} has no ELBO, by which a search compares runs; leave it out"
        )
    if config["trainer"].get("devices") not in (1, "1"):
        raise ValueError(
            "a search trains each run on one device, because Lightning starts the command again for each further one; "
            "use trainer.devices=1, and start the command several times"
        )


def objection(overrides: Sequence[str]) -> str | None:
    """Why a trial cannot be searched; None if its options allow it."""
    try:
        check_searchable(compose_trial(overrides))
    except ValueError as error:
        return one_line(error)
    return None


def compose_trial(overrides: Sequence[str]) -> dict[str, Any]:
    """The configuration that training has with these overrides.

    Raises:
        ValueError: for an option that does not exist.
    """
    try:
        config, choices = without_hydra(hydra.compose("train", list(overrides), return_hydra_config=True))
        return resolve(config, overrides, choices)
    except UnknownOption as error:
        raise ValueError(str(error)) from error
    except HydraException as error:
        # Hydra prints its own errors only before the task has begun.
        lines = str(error.__cause__ or error).splitlines()
        raise ValueError(lines[0]) from error


def is_group(option: str) -> bool:
    """Whether a name is a group of options (``sampler``) rather than an option."""
    return bool(GlobalHydra.instance().config_loader().get_group_options(option))
