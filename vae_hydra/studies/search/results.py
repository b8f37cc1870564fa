"""What a search leaves: a table of its trials, the best one as an experiment, and figures."""

from __future__ import annotations

import csv
import io
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from vae_hydra.base.files import write_figure, write_text
from vae_hydra.drawing.plots.trials import Range, Tried, search_history, search_options
from vae_hydra.studies.search.experiment_file import HEAD, experiment_file

WORDS = {TrialState.COMPLETE: "done", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
OBJECTIVE = "validation ELBO"
UNIT = "nats per example"
# Trials that are done before a share of their variation is said to be an option's.
ENOUGH = 4


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """The trial with the greatest value of those that are done; None without one."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return max(done, key=lambda trial: trial.value or 0.0) if done else None


def counts(study: optuna.Study) -> str:
    """How many trials came to what, in words."""
    states = Counter(WORDS.get(trial.state, "running") for trial in study.get_trials(deepcopy=False))
    return ", ".join(f"{number} {word}" for word, number in sorted(states.items()))


def write_table(study: optuna.Study, path: Path) -> None:
    """Write a row a trial: its number, state, value, epochs, run and options, and what it failed with."""
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
        "state": WORDS.get(trial.state, "running"),
        "val/elbo": trial.value,
        "epochs": max(trial.intermediate_values, default=None),
        "run": trial.user_attrs.get("run"),
        **trial.params,
        "error": trial.user_attrs.get("error"),
    }


def write_best(study: optuna.Study, path: Path, is_group: Callable[[str], bool], search_path: str | None) -> str | None:
    """Write the best trial as a file of the group experiment; return the command that trains it.

    Args:
        study: None of whose trials need be done: then nothing is written.
        path: ``experiment/best.yaml`` in the search's folder.
        is_group: see ``experiment_file``.
        search_path: a further folder of options that were typed from, if any.
    """
    best = best_trial(study)
    if best is None:
        return None
    overrides, run = best.user_attrs["overrides"], best.user_attrs["run"]
    text, typed = experiment_file(overrides, is_group)
    more = [*typed, *([f"hydra.searchpath=[file://{search_path}]"] if search_path else [])]
    folder = path.parent.parent
    command = shlex.join(["python", "-m", "vae_hydra.train", "--config-dir", str(folder), "experiment=best", *more])
    comments = [
        f"The best of {len(study.get_trials(deepcopy=False))} trials ({counts(study)}) of the search {folder.name}",
        f"{OBJECTIVE} {best.value:.6g} {UNIT}: trial {best.number}, run {run}",
        command,
    ]
    path.parent.mkdir(exist_ok=True)
    write_text(path, "\n".join([HEAD, *(f"# {line}" for line in comments), text.removeprefix(f"{HEAD}\n")]))
    return command


def draw(study: optuna.Study, folder: Path) -> list[Path]:
    """Draw how the search went and what its options did, as far as enough trials are done; return the files."""
    trials = [
        Tried(trial.number, trial.value, trial.state == TrialState.PRUNED, trial.params)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        if trial.value is not None
    ]
    done = sum(not trial.pruned for trial in trials)
    label = f"{OBJECTIVE} [{UNIT}]"
    figures = {"history": search_history(trials, label)} if done else {}
    if done >= ENOUGH:
        importances = optuna.importance.get_param_importances(study)
        figures["options"] = search_options(trials, importances, _domains(study), label)
    folder.mkdir(exist_ok=True)
    for name, figure in figures.items():
        write_figure(figure, folder / f"{name}.png", dpi=130)
    return [folder / f"{name}.png" for name in figures]


def _domains(study: optuna.Study) -> dict[str, Range | Sequence[str]]:
    """What each option was searched in, as a figure wants it."""
    domains = study.get_trials(deepcopy=False)[0].distributions
    return {
        option: list(map(str, domain.choices))
        if isinstance(domain, CategoricalDistribution)
        else Range(domain.low, domain.high, domain.log)  # type: ignore[attr-defined]
        for option, domain in domains.items()
    }
