"""A search's study: Optuna's record of the trials, in a folder that the processes of the search share."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from filelock import FileLock, Timeout
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock
from optuna.trial import FrozenTrial, Trial, TrialState

from vae_hydra.base import checks

# Options of a file of the group search.
OPTIONS = ("seed", "seeds", "startup", "pruning", "warmup", "space")
# Searches from before the journal have a database, and go on with it.
JOURNAL, DATABASE, LOCK = "study.journal", "study.db", ".lock"
PRUNERS = ("median", "hyperband", "none")
# Finished trials before their median stops others.
FEWEST = 5
# Seconds to wait for another process that writes to the database.
PATIENCE = 60


class SeededTPE(BaseSampler):
    """Optuna's tree-structured Parzen estimator; draws depend on the seed, the trial's number and earlier trials.

    There is no generator's state to save: an interrupted search goes on as if it had run through, and the processes of
    one search draw different trials.

    Args:
        seed: seed of all draws.
        startup: the number of trials drawn at random before the estimator proposes any.
    """

    def __init__(self, seed: int, startup: int) -> None:
        self.seed, self.startup = seed, startup
        self._tpe = TPESampler()

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        drawn = np.random.SeedSequence((self.seed, trial.number)).generate_state(1)
        self._tpe = TPESampler(n_startup_trials=self.startup, seed=int(drawn[0]))

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._tpe.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._tpe.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._tpe.sample_independent(study, trial, param_name, param_distribution)


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of ``conf/search/_common.yaml`` except the space; ValueError for one that cannot work."""
    missing = [name for name in OPTIONS if name not in checks.group("search", options)]
    if missing:
        raise ValueError(f"search has no {missing[0]}; begin its file with defaults: [_common, _self_]")
    return {
        "seed": checks.seed("search.seed", options["seed"]),
        "seeds": checks.positive_integer("search.seeds", options["seeds"]),
        "startup": checks.positive_integer("search.startup", options["startup"]),
        "pruning": checks.one_of("search.pruning", options["pruning"], PRUNERS),
        "warmup": checks.positive_integer("search.warmup", options["warmup"]),
    }


def open_study(folder: Path, options: Mapping[str, Any], max_epochs: int) -> optuna.Study:
    """The study in ``folder``, new if there is none; it maximises the validation ELBO.

    Args:
        folder: the search's folder, whose name is the study's name.
        options: as ``check_options`` returns them.
        max_epochs: the epochs of a run that is not stopped.

    Raises:
        ValueError: if the folder cannot be written.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"output_dir cannot be written: {error}") from error
    with FileLock(folder / LOCK):
        return optuna.create_study(
            storage=_storage(folder.resolve()),
            study_name=folder.name,
            direction="maximize",
            load_if_exists=True,
            sampler=SeededTPE(options["seed"], options["startup"]),
            pruner=_pruner(options, max_epochs),
        )


class JournalLock(BaseJournalFileLock):
    """The lock of a journal; unlike Optuna's own locks, the system releases it when its process dies.

    A process that dies while it writes leaves half a line, which Optuna cannot read; the next holder removes it.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._lock = FileLock(journal.with_suffix(".lock"), timeout=PATIENCE)

    def acquire(self) -> bool:
        self._lock.acquire()
        _remove_half_line(self._journal)
        return True

    def release(self) -> None:
        self._lock.release()


def _remove_half_line(path: Path) -> None:
    if not path.exists() or path.stat().st_size == 0:
        return
    with path.open("rb") as journal:
        journal.seek(-1, os.SEEK_END)
        is_whole = journal.read() == b"\n"
    if not is_whole:
        os.truncate(path, path.read_bytes().rfind(b"\n") + 1)


def _storage(folder: Path) -> BaseStorage:
    database, journal = folder / DATABASE, folder / JOURNAL
    if database.exists():
        return RDBStorage(f"sqlite:///{database}", engine_kwargs={"connect_args": {"timeout": PATIENCE}})
    return JournalStorage(JournalFileBackend(str(journal), lock_obj=JournalLock(journal)))


class LatestValue(BasePruner):
    """Another pruner's decision on a trial's latest value alone.

    ``MedianPruner`` takes a trial's best value so far, which for means over seeds would be that of its luckiest seeds.
    """

    def __init__(self, pruner: BasePruner) -> None:
        self._pruner = pruner

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        latest = copy.copy(trial)
        latest.intermediate_values = {
            step: value for step, value in trial.intermediate_values.items() if step == trial.last_step
        }
        return self._pruner.prune(study, latest)


def _pruner(options: Mapping[str, Any], max_epochs: int) -> BasePruner:
    """The pruner of trials that report their value after each epoch; with several seeds, after each seed."""
    seeds, warmup, last = options["seeds"], options["warmup"], max_epochs
    if seeds > 1:
        warmup, last = math.ceil(warmup / max_epochs), seeds
    if options["pruning"] == "none":
        return NopPruner()
    if options["pruning"] == "hyperband":
        return HyperbandPruner(min_resource=min(warmup, last), max_resource=last)
    median = MedianPruner(min(FEWEST, options["startup"]), warmup)
    return median if seeds == 1 else LatestValue(median)


@contextmanager
def next_trial(study: optuna.Study, folder: Path, total: int) -> Iterator[Trial | None]:
    """An abandoned trial, else a new one, locked against other processes; None once there are ``total`` trials.

    A running trial belongs to the process that holds its lock; the system releases the lock of a dead process.
    """
    with FileLock(folder / LOCK):
        trial, lock = _abandoned(study, folder)
        if trial is None and len(study.get_trials(deepcopy=False)) < total:
            trial = study.ask()
            lock = FileLock(_lock_path(folder, trial.number))
            lock.acquire()
    try:
        yield trial
    finally:
        if lock is not None:
            lock.release()


def _abandoned(study: optuna.Study, folder: Path) -> tuple[Trial | None, FileLock | None]:
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        lock = FileLock(_lock_path(folder, trial.number))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        # Optuna itself would start a new trial; this one keeps its number and its options.
        return Trial(study, trial._trial_id), lock
    return None, None


def _lock_path(folder: Path, number: int) -> Path:
    return folder / f".trial-{number}.lock"


def report(trial: Trial, step: int, elbo: float) -> bool:
    """Tell the study a trial's ELBO after so many epochs, or seeds, once each; return whether to stop the trial."""
    known = trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values
    if step not in known:
        trial.report(elbo, step)
    return trial.should_prune()
