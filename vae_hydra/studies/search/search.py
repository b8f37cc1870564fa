"""Search for good options: ``python -m vae_hydra.search search=digits trials=30``."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.utils import get_class

from vae_hydra.base.command.errors import UnknownOption, one_line
from vae_hydra.base.command.overrides import key_of
from vae_hydra.base.command.process import prepare_torch
from vae_hydra.studies.sweep import sweeper as sweep

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution

    from vae_hydra.runs.folder import Run
    from vae_hydra.training.callbacks import InterruptGuard

log = logging.getLogger(__name__)

ELBO = "val/elbo"
# A search's own options, which training has not.
OWN = ("search", "trials")


def search(config: Mapping[str, Any], typed: Sequence[str]) -> Path:
    """Train trials until there are ``config["trials"]``, and leave the best as an experiment file.

    A trial is a run as any other. Its objective is the validation ELBO, log p(x|z) − KL at β = 1 in nats per example,
    after the epoch whose weights the run is scored with: those of best.ckpt. The test set plays no part.

    Args:
        config: resolved configuration, as ``conf/search.yaml`` composes it from ``typed``.
        typed: overrides; those of training are every trial's.

    Returns:
        The search's folder.

    Raises:
        ValueError: for a search that cannot work; nothing is written then.
        Interrupted: on SIGINT or SIGTERM, once the run's last.ckpt is written.
        SystemExit: with 1 if no trial came to a value.
    """
    from vae_hydra.base import checks
    from vae_hydra.studies.search.space import read_space
    from vae_hydra.studies.search.study import check_options, next_trial, open_study
    from vae_hydra.training.callbacks import InterruptGuard

    started = time.monotonic()
    trials = checks.positive_integer("trials", config["trials"])
    options = check_options(config["search"])
    fixed = fixed_overrides(typed)
    space = read_space(config["search"]["space"], {key_of(override) for override in fixed})
    base = _check_all(space, fixed)
    folder = _folder(base, space, options)
    study = open_study(folder, options, base["trainer"]["max_epochs"])
    log.info("search   %s: %s, %d trials", folder, ", ".join(space), trials)
    with InterruptGuard() as guard:
        while True:
            with next_trial(study, folder, trials) as trial:
                if trial is None:
                    break
                _try(trial, space, fixed, guard)
            _say(study, trial.number, trials)
            _write(study, folder)
            guard.stop_if_interrupted()
    _conclude(study, folder, time.monotonic() - started)
    return folder


def fixed_overrides(typed: Sequence[str]) -> list[str]:
    """What of the command is training's own, the same in every trial.

    Raises:
        ValueError: for the name that the search's own experiment file has.
    """
    if "experiment=best" in typed:
        raise ValueError("experiment=best would be built upon itself: search from a copy of it under another name")
    return [override for override in typed if key_of(override).split(".")[0] not in OWN]


def check_searchable(config: Mapping[str, Any]) -> None:
    """Raise ValueError for training that comes to no validation ELBO, or needs more than this process."""
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
        raise ValueError("a search trains on one device; use trainer.devices=1, and start the command several times")


def _check_all(space: Mapping[str, BaseDistribution], fixed: Sequence[str]) -> dict[str, Any]:
    """The configuration of a trial, once that is known to be one that can be trained, and every choice to be one.

    Raises:
        ValueError: for an option or a choice that training does not have, or that has no validation ELBO.
    """
    from vae_hydra.runs.build import build_experiment
    from vae_hydra.runs.folder import Run
    from vae_hydra.runs.trainer import build_trainer
    from vae_hydra.studies.search.space import first_values, further_values

    first = first_values(space)
    base = _first_point(first, fixed)
    check_searchable(base)
    for value, ways in further_values(space, _is_group):
        errors = [_misfit([*fixed, *first, *way]) for way in ways]
        if all(errors):
            raise ValueError(_at(value, errors[0]))
    prepare_torch(base["threads"])
    run = Run.of(base)
    build_trainer(base, build_experiment(base).data, run.folder, run.id)
    return base


def _first_point(first: Sequence[str], fixed: Sequence[str]) -> dict[str, Any]:
    try:
        return _composed([*fixed, *first])
    except ValueError:
        groups = [value for value in first if _is_group(key_of(value))]
        for value in first:
            error = _misfit([*fixed, *groups, value])
            if error:
                raise ValueError(_at(value, error)) from None
        raise


def _at(value: str, error: str | None) -> str:
    return f"search.space, at {value}: {error}; ~search.space.{key_of(value)} leaves it out"


def _misfit(overrides: Sequence[str]) -> str | None:
    """Why a trial cannot be searched; None if it can, as far as its options tell."""
    try:
        check_searchable(_composed(overrides))
    except ValueError as error:
        return one_line(error)
    return None


def _composed(overrides: Sequence[str]) -> dict[str, Any]:
    """The configuration that training would have.

    Raises:
        ValueError: for an option that there is not.
    """
    try:
        config, choices = sweep.without_hydra(hydra.compose("train", list(overrides), return_hydra_config=True))
        return sweep.resolve(config, overrides, choices)
    except UnknownOption as error:
        raise ValueError(str(error)) from error
    except HydraException as error:
        # Hydra prints its own errors only before the task has begun.
        lines = str(error.__cause__ or error).splitlines()
        raise ValueError(lines[0]) from error


def _is_group(option: str) -> bool:
    return bool(GlobalHydra.instance().config_loader().get_group_options(option))


def _folder(base: Mapping[str, Any], space: Mapping[str, BaseDistribution], options: Mapping[str, Any]) -> Path:
    """Where a search is kept: named after what it is, so that one that is started again is the same one."""
    from vae_hydra.runs.identity import identifying_options

    what = {
        "base": identifying_options(base),
        "space": {option: repr(domain) for option, domain in space.items()},
        "options": dict(options),
    }
    digits = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:8]
    title = "".join(c if c.isalnum() or c == "_" else "-" for c in HydraConfig.get().runtime.choices["search"])
    return Path(base["output_dir"]).expanduser() / "searches" / f"{title}-{digits}"


def _try(trial: Trial, space: Mapping[str, BaseDistribution], fixed: Sequence[str], guard: InterruptGuard) -> None:
    """Train a trial and tell the study what came of it; an error is the trial's, and the search goes on."""
    from optuna.trial import TrialState

    from vae_hydra.runs.folder import Run
    from vae_hydra.studies.search.space import suggest
    from vae_hydra.training.callbacks import Pruned

    overrides = [*fixed, *suggest(trial, space)]
    trial.set_user_attr("overrides", overrides)
    run = None
    try:
        config = _composed(overrides)
        check_searchable(config)
        run = Run.of(config)
        trial.set_user_attr("run", run.name)
        value = _validation_elbo(trial, config, run, guard)
    except Pruned:
        trial.study.tell(trial, state=TrialState.PRUNED)
    except Exception as error:
        log.debug("trial %d failed", trial.number, exc_info=True)
        if run is not None:
            run.fail(config, error)
        trial.set_user_attr("error", f"{type(error).__name__}: {one_line(error)}")
        trial.study.tell(trial, state=TrialState.FAIL)
    else:
        trial.study.tell(trial, value)


def _validation_elbo(trial: Trial, config: dict[str, Any], run: Run, guard: InterruptGuard) -> float:
    """Train a run unless it is done, and return the objective.

    Raises:
        Pruned: if the study stops it, be it for epochs that it had before.
    """
    from vae_hydra.runs.train import train
    from vae_hydra.studies.search.study import report
    from vae_hydra.training.callbacks import Pruned, Pruning
    from vae_hydra.training.history import read_epochs

    known = [row for row in read_epochs(run.folder / "metrics.csv") if ELBO in row]
    hopeless = [report(trial, int(row["epoch"]) + 1, row[ELBO]) for row in known]
    if not run.is_done:
        if hopeless and hopeless[-1]:
            raise Pruned("other runs of the search were better by then")
        if config["logger"].get("wandb"):
            options = config["logger"]["wandb"]
            options["group"] = options.get("group") or trial.study.study_name
        train(config, [Pruning(lambda epochs, elbo: report(trial, epochs, elbo))], guard, quiet=True)
    return objective(run)


def objective(run: Run) -> float:
    """The validation ELBO [nats per example] of a run that is done, after the epoch that its scores are of.

    Raises:
        ValueError: if that epoch was not validated, or its ELBO is not finite.
    """
    from vae_hydra.runs.checkpoint import read_checkpoint
    from vae_hydra.training.history import read_epochs

    path = run.checkpoint_path()
    epoch = read_checkpoint(path)["epoch"]
    rows = [row for row in read_epochs(run.folder / "metrics.csv") if row["epoch"] == epoch]
    value = rows[-1].get(ELBO, math.nan) if rows else math.nan
    if not math.isfinite(value):
        raise ValueError(f"{run.folder}/metrics.csv has no finite {ELBO} of epoch {epoch}, which {path.name} is of")
    return value


def _say(study: Study, number: int, trials: int) -> None:
    """A line on what came of a trial."""
    from vae_hydra.studies.search.results import WORDS, best_trial

    trial, best = study.get_trials(deepcopy=False)[number], best_trial(study)
    value = "—" if trial.value is None else f"{trial.value:.2f}"
    state = WORDS.get(trial.state, "running")
    epochs = f" after {max(trial.intermediate_values)} epochs" if state == "pruned" else ""
    is_best = "  best so far" if best is not None and best.number == number else ""
    tried = " ".join(f"{option}={_short(value)}" for option, value in trial.params.items())
    log.info("trial    %d (%d of %d): %s %s%s%s  %s", number, number + 1, trials, value, state, epochs, is_best, tried)
    if trial.user_attrs.get("error"):
        log.error("         %s", trial.user_attrs["error"])


def _short(value: Any) -> Any:
    return f"{value:.3g}" if isinstance(value, float) else value


def _write(study: Study, folder: Path) -> str | None:
    """Write what there is of results; return the command that trains the best trial."""
    from filelock import FileLock

    from vae_hydra.studies.search.results import write_best, write_table
    from vae_hydra.studies.search.study import LOCK

    sources = HydraConfig.get().runtime.config_sources
    given = next((source.path for source in sources if source.provider == "command-line"), None)
    with FileLock(folder / LOCK):
        write_table(study, folder / "trials.csv")
        return write_best(study, folder / "experiment" / "best.yaml", _is_group, given)


def _conclude(study: Study, folder: Path, seconds: float) -> None:
    """Write the results, and say what they are.

    Raises:
        SystemExit: with 1 if no trial is done.
    """
    from vae_hydra.studies.search.results import OBJECTIVE, UNIT, best_trial, counts, draw

    command, best = _write(study, folder), best_trial(study)
    log.info("search   %s: %s, in %s", folder, counts(study), sweep.duration(seconds))
    if best is None or command is None:
        log.error("no trial came to a value; trials.csv of the search says why")
        raise SystemExit(1)
    log.info("best     trial %d: %s %.4f %s", best.number, OBJECTIVE, best.value, UNIT)
    for option, value in best.params.items():
        log.info("         %s=%s", option, value)
    log.info("run      %s", folder.parent.parent / best.user_attrs["run"])
    for path in [folder / "trials.csv", folder / "experiment" / "best.yaml", *draw(study, folder / "figures")]:
        log.info("written  %s", path)
    log.info("again    %s", command)
