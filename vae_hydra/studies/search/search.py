"""Search for good options: ``python -m vae_hydra.search search=digits trials=30``."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from optuna.distributions import BaseDistribution

from vae_hydra.base import checks
from vae_hydra.base.command.overrides import key_of
from vae_hydra.base.command.process import prepare_torch
from vae_hydra.runs.build import build_experiment
from vae_hydra.runs.folder import Run
from vae_hydra.runs.identity import identifying_options
from vae_hydra.runs.trainer import build_trainer
from vae_hydra.studies.search.results import conclude, log_trial, write_results
from vae_hydra.studies.search.space import first_values, further_values, read_space
from vae_hydra.studies.search.study import check_options, next_trial, open_study
from vae_hydra.studies.search.trial import check_searchable, compose_trial, is_group, objection, run_trial
from vae_hydra.training.callbacks import InterruptGuard

log = logging.getLogger(__name__)

# Options of a search that training lacks.
SEARCH_OPTIONS = ("search", "trials")


def search(config: Mapping[str, Any], typed: Sequence[str]) -> Path:
    """Train trials until there are ``config["trials"]``; write the best one as an experiment file.

    Args:
        config: resolved configuration, as ``conf/search.yaml`` composes it from ``typed``.
        typed: the command line's overrides; those of training apply to every trial.

    Returns:
        The search's folder.

    Raises:
        ValueError: for a search that cannot work; nothing is written then.
        Interrupted: on SIGINT or SIGTERM, once the run's last.ckpt is written.
        SystemExit: with 1 if no trial has a value.
    """
    started = time.monotonic()
    trials = checks.positive_integer("trials", config["trials"])
    options = check_options(config["search"])
    fixed = fixed_overrides(typed)
    space = read_space(config["search"]["space"], {key_of(override) for override in fixed})
    _check_seeds(options["seeds"], space)
    base = _check_all(space, fixed)
    folder = _folder(base, space, options)
    study = open_study(folder, options, base["trainer"]["max_epochs"])
    of_seeds = f" of {options['seeds']} seeds" if options["seeds"] > 1 else ""
    log.info("search   %s: %s, %d trials%s", folder, ", ".join(space), trials, of_seeds)
    with InterruptGuard() as guard:
        while True:
            with next_trial(study, folder, trials) as trial:
                if trial is None:
                    break
                run_trial(trial, space, fixed, options["seeds"], guard)
            log_trial(study, trial.number, trials)
            write_results(study, folder)
            guard.stop_if_interrupted()
    conclude(study, folder, time.monotonic() - started)
    return folder


def fixed_overrides(typed: Sequence[str]) -> list[str]:
    """The overrides of training in ``typed``, which are the same in every trial.

    Raises:
        ValueError: for the name of the experiment file that the search itself writes.
    """
    if "experiment=best" in typed:
        raise ValueError("experiment=best would be built upon itself: search from a copy of it under another name")
    return [override for override in typed if key_of(override).split(".")[0] not in SEARCH_OPTIONS]


def _check_seeds(seeds: int, space: Mapping[str, BaseDistribution]) -> None:
    if seeds > 1 and "seed" in space:
        raise ValueError(
            f"search.seeds={seeds} and search.space.seed both choose the seeds of a trial; "
            "leave one out: ~search.space.seed, or search.seeds=1"
        )


def _check_all(space: Mapping[str, BaseDistribution], fixed: Sequence[str]) -> dict[str, Any]:
    """Check that the first point of the space can be trained, and that every choice exists.

    Returns:
        The configuration of the first point.

    Raises:
        ValueError: for an option or a choice that training lacks, or that has no validation ELBO.
    """
    first = first_values(space)
    base = _first_point(first, fixed)
    check_searchable(base)
    for value, alternatives in further_values(space, is_group):
        errors = [objection([*fixed, *first, *overrides]) for overrides in alternatives]
        if all(errors):
            raise ValueError(_at(value, errors[0]))
    prepare_torch(base["threads"])
    run = Run.of(base)
    build_trainer(base, build_experiment(base).data, run.folder, run.id)
    return base


def _first_point(first: Sequence[str], fixed: Sequence[str]) -> dict[str, Any]:
    """The configuration of the first point; an error names the option of the space that caused it."""
    try:
        return compose_trial([*fixed, *first])
    except ValueError:
        groups = [value for value in first if is_group(key_of(value))]
        for value in first:
            error = objection([*fixed, *groups, value])
            if error:
                raise ValueError(_at(value, error)) from None
        raise


def _at(value: str, error: str | None) -> str:
    return f"search.space, at {value}: {error}; ~search.space.{key_of(value)} leaves it out"


def _folder(base: Mapping[str, Any], space: Mapping[str, BaseDistribution], options: Mapping[str, Any]) -> Path:
    """The search's folder; the name follows from the search, so that the same command goes on with it."""
    # Searches from before search.seeds keep their names.
    more = {name: value for name, value in options.items() if (name, value) != ("seeds", 1)}
    identity = {
        "base": identifying_options(base),
        "space": {option: repr(domain) for option, domain in space.items()},
        "options": more,
    }
    digits = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
    title = "".join(c if c.isalnum() or c == "_" else "-" for c in HydraConfig.get().runtime.choices["search"])
    return Path(base["output_dir"]).expanduser() / "searches" / f"{title}-{digits}"
