"""The results of a search: log lines, a table of the trials, the best trial as an experiment, and figures."""

from __future__ import annotations

import csv
import io
import logging
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from hydra.core.hydra_config import HydraConfig
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from vae_hydra.base.durations import duration
from vae_hydra.base.files import write_figure, write_text
from vae_hydra.drawing.plots.trials import Range, Tried, search_history, search_options
from vae_hydra.studies.search.experiment_file import HEAD, experiment_file
from vae_hydra.studies.search.study import LOCK
from vae_hydra.studies.search.trial import is_group

log = logging.getLogger(__name__)

WORDS = {TrialState.COMPLETE: "done", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
OBJECTIVE = "validation ELBO"
UNIT = "nats per example"
# With fewer finished trials, no share of their variation is attributed to options.
ENOUGH = 4


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """The finished trial with the greatest value; None if no trial is finished."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return max(done, key=lambda trial: trial.value or 0.0) if done else None


def counts(study: optuna.Study) -> str:
    """The number of trials in each state, in words."""
    states = Counter(map(_state, study.get_trials(deepcopy=False)))
    return ", ".join(f"{number} {word}" for word, number in sorted(states.items()))


def _state(trial: FrozenTrial) -> str:
    return WORDS.get(trial.state, "running")


def log_trial(study: optuna.Study, number: int, trials: int) -> None:
    """Log a line about the outcome of trial ``number``."""
    trial, best = study.get_trials(deepcopy=False)[number], best_trial(study)
    value = "—" if trial.value is None else f"{trial.value:.2f}"
    state = _state(trial)
    epochs = f" after {_epochs(trial)} epochs" if state == "pruned" else ""
    is_best = "  best so far" if best is not None and best.number == number else ""
    tried = " ".join(f"{option}={_short(value)}" for option, value in trial.params.items())
    log.info("trial    %d (%d of %d): %s %s%s%s  %s", number, number + 1, trials, value, state, epochs, is_best, tried)
    if trial.user_attrs.get("error"):
        log.error("         %s", trial.user_attrs["error"])


def _epochs(trial: FrozenTrial) -> int | None:
    """The epochs of a trial, over all its seeds; None before the first."""
    if "seeds" in trial.user_attrs:
        return trial.user_attrs.get("epochs")
    return max(trial.intermediate_values, default=None)


def _short(value: Any) -> Any:
    return f"{value:.3g}" if isinstance(value, float) else value


def conclude(study: optuna.Study, folder: Path, seconds: float) -> None:
    """Write the results and the figures, and log them.

    Raises:
        SystemExit: with 1 if no trial is done.
    """
    command, best = write_results(study, folder), best_trial(study)
    log.info("search   %s: %s, in %s", folder, counts(study), duration(seconds))
    if best is None or command is None:
        log.error("no trial has a value; see the column error in the search's trials.csv")
        raise SystemExit(1)
    log.info("best     trial %d: %s %.4f %s", best.number, OBJECTIVE, best.value, UNIT)
    for option, value in best.params.items():
        log.info("         %s=%s", option, value)
    for run in best.user_attrs["run"].split():
        log.info("run      %s", folder.parent.parent / run)
    for path in [folder / "trials.csv", folder / "experiment" / "best.yaml", *draw(study, folder / "figures")]:
        log.info("written  %s", path)
    log.info("again    %s", command)


def write_results(study: optuna.Study, folder: Path) -> str | None:
    """Write the table and the best trial so far; return the command that trains the best trial."""
    sources = HydraConfig.get().runtime.config_sources
    search_path = next((source.path for source in sources if source.provider == "command-line"), None)
    with FileLock(folder / LOCK):
        write_table(study, folder / "trials.csv")
        return write_best(study, folder / "experiment" / "best.yaml", is_group, search_path)


def write_table(study: optuna.Study, path: Path) -> None:
    """Write one row a trial: its number, state, value, epochs, run, options and error."""
    trials = study.get_trials(deepcopy=False)
    options = list(dict.fromkeys(option for trial in trials for option in trial.params))
    text = io.StringIO()
    writer = csv.DictWriter(
        text, ["trial", "state", "val/elbo", "epochs", "run", *options, "error"], lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(_row(trial) for trial in trials)
    write_text(path, text.getvalue())


def _row(trial: FrozenTrial) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "state": _state(trial),
        "val/elbo": trial.value,
        "epochs": _epochs(trial),
        "run": trial.user_attrs.get("run"),
        **trial.params,
        "error": trial.user_attrs.get("error"),
    }


def write_best(study: optuna.Study, path: Path, is_group: Callable[[str], bool], search_path: str | None) -> str | None:
    """Write the best trial as a file of the group experiment; return the command that trains it.

    Without a finished trial nothing is written, and None is returned.

    Args:
        study: the search's study.
        path: ``experiment/best.yaml`` in the search's folder.
        is_group: see ``experiment_file``.
        search_path: the further folder of options that the command line named, if any.
    """
    best = best_trial(study)
    if best is None:
        return None
    run, seeds = best.user_attrs["run"], best.user_attrs.get("seeds", [])
    text, rest = experiment_file(best.user_attrs["overrides"], is_group)
    rest = [*rest, *([f"hydra.searchpath=[file://{search_path}]"] if search_path else [])]
    folder = path.parent.parent
    seeded = f"seed={','.join(map(str, seeds))}"
    multirun, each, mean = (["-m"], [seeded], f", mean of {len(seeds)} seeds") if seeds else ([], [], "")
    words = [*multirun, "--config-dir", str(folder), "experiment=best", *each, *rest]
    command = shlex.join(["python", "-m", "vae_hydra.train", *words])
    comments = [
        f"The best of {len(study.get_trials(deepcopy=False))} trials ({counts(study)}) of the search {folder.name}",
        f"{OBJECTIVE} {best.value:.6g} {UNIT}{mean}: trial {best.number}, run {run}",
        command,
    ]
    path.parent.mkdir(exist_ok=True)
    write_text(path, "\n".join([HEAD, *(f"# {line}" for line in comments), text.removeprefix(f"{HEAD}\n")]))
    return command


def draw(study: optuna.Study, folder: Path) -> list[Path]:
    """Draw the history of the search and, once enough trials are done, the effect of its options; return the files."""
    trials = [
        Tried(trial.number, trial.value, trial.state == TrialState.PRUNED, trial.params)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        if trial.value is not None
    ]
    done = sum(not trial.pruned for trial in trials)
    label = f"{OBJECTIVE} [{UNIT}]"
    figures = {"history": search_history(trials, label)} if done else {}
    if done >= ENOUGH:
        domains = _domains(study)
        every = [option for option in domains if all(option in trial.options for trial in trials)]
        importances = optuna.importance.get_param_importances(study, params=every) if every else {}
        figures["options"] = search_options(trials, importances, domains, label)
    folder.mkdir(exist_ok=True)
    for name, figure in figures.items():
        write_figure(figure, folder / f"{name}.png", dpi=130)
    return [folder / f"{name}.png" for name in figures]


def _domains(study: optuna.Study) -> dict[str, Range | Sequence[str]]:
    """The choices or the range of each option that any trial has, in the types of the figure."""
    domains = {key: domain for trial in study.get_trials(deepcopy=False) for key, domain in trial.distributions.items()}
    return {
        option: list(map(str, domain.choices))
        if isinstance(domain, CategoricalDistribution)
        else Range(domain.low, domain.high, domain.log)  # type: ignore[attr-defined]
        for option, domain in domains.items()
    }
