"""Which runs are comparable: whole ones, trained after the latest change that concerns them.

A run's record holds the version it was trained by. To declare a change of training or of the scores, add an entry to
``CHANGES``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from vae_hydra.runs.partial import as_overrides, limiting_options

# The entry of a run's record; runs without it are of the first version.
KEY = "scores_version"


class Change(NamedTuple):
    """One change.

    Attributes:
        concerns: whether it makes a difference to a run of this configuration.
        reason: the fault that was mended, as a sentence without its subject.
    """

    concerns: Callable[[Mapping[str, Any]], bool]
    reason: str


def _is_continuous_bernoulli(config: Mapping[str, Any]) -> bool:
    likelihood = config.get("likelihood")
    return isinstance(likelihood, Mapping) and "ContinuousBernoulli" in str(likelihood.get("_target_"))


def _has_few_labels(config: Mapping[str, Any]) -> bool:
    classifier = config.get("classifier")
    return isinstance(classifier, Mapping) and classifier.get("labelled", 1.0) != 1.0


def _outlasts_training(config: Mapping[str, Any]) -> bool:
    """Whether β still rises in the last epoch. The configuration does not tell this of a ramp counted in steps."""
    beta, trainer = config.get("beta"), config.get("trainer")
    if not isinstance(beta, Mapping) or not isinstance(trainer, Mapping) or beta.get("unit") != "epoch":
        return False
    duration, epochs = beta.get("duration"), trainer.get("max_epochs")
    if not isinstance(duration, int | float) or not isinstance(epochs, int) or not duration > 0:
        return False
    rise = beta.get("rise")
    if isinstance(rise, int | float):
        return duration * rise > (epochs - 1) % duration
    return duration > epochs - 1


def _has_data_of_inverse_gaussians(config: Mapping[str, Any]) -> bool:
    dataset = config.get("dataset")
    return isinstance(dataset, Mapping) and dataset.get("name") == "inverse_gaussian_2d"


# Version → its change; the first version has none.
CHANGES: dict[int, Change] = {
    2: Change(
        _is_continuous_bernoulli,
        "trained and scored before the continuous Bernoulli's density was exact: in single precision its mass was less "
        "than 1, and its gradient 0, where |logit| > 16",
    ),
    3: Change(
        _has_few_labels, "trained when validation, which chooses the weights, still saw the labels that are hidden"
    ),
    4: Change(_outlasts_training, "trained when a β that rises for longer than training did not reach its end"),
    5: Change(
        _has_data_of_inverse_gaussians,
        "trained and scored on other draws of the data: those of the Inverse Gaussian changed",
    ),
}
CURRENT = max(CHANGES)


def outdated(config: Mapping[str, Any], record: Mapping[str, Any]) -> str | None:
    """Why a run is not comparable with one trained today; None if it is comparable.

    Scoring it again with ``evaluate`` does not help: its weights were trained before the change.
    """
    version = record.get(KEY) or 1
    reasons = (change.reason for number, change in CHANGES.items() if number > version and change.concerns(config))
    return next(reasons, None)


def version_of(record: Mapping[str, Any], goes_on: bool) -> int:
    """The version a run is trained by; a run that goes on from its checkpoint keeps its first version."""
    return (record.get(KEY) or 1) if goes_on else CURRENT


def standing(config: Mapping[str, Any], record: Mapping[str, Any]) -> tuple[str, str] | None:
    """``partial`` or ``outdated``, with the reason; None for a run that is comparable with others."""
    trainer = config.get("trainer")
    options = trainer if isinstance(trainer, Mapping) else {}
    part = record.get("partial") or as_overrides(limiting_options(options), options)
    if part:
        return "partial", f"trained or tested on a part of its batches ({part}); train it without"
    old = outdated(config, record)
    if old:
        return "outdated", f"{old}; move or delete its folder and train it again"
    return None
