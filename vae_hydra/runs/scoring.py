"""Changes of what is trained and scored, after which runs of a kind are not comparable with those from before.

A run's record holds the version that it was trained by. To declare the next change, add an entry to ``CHANGES``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

# In a run's record; runs without it are of the first version.
KEY = "scores_version"


class Change(NamedTuple):
    """One change.

    Attributes:
        concerns: whether it makes a difference to the run of a configuration.
        reason: what was wrong before, for people.
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
    """Whether β still rises in the last epoch; of a ramp by step the configuration does not say it."""
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


# Version → what changed with it; the first version has no entry.
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
    """Why a run is not comparable with one that is trained today; None if it is.

    Scored again by ``evaluate`` it stays what it is: its weights were trained by what has changed.
    """
    version = record.get(KEY) or 1
    reasons = (change.reason for number, change in CHANGES.items() if number > version and change.concerns(config))
    return next(reasons, None)


def version_of(record: Mapping[str, Any], goes_on: bool) -> int:
    """The version that a run is trained by: one that goes on from its checkpoint keeps what it began with."""
    return (record.get(KEY) or 1) if goes_on else CURRENT


LIMITS = ("limit_train_batches", "limit_val_batches", "limit_test_batches")
# What either leaves of an epoch is all of it if the option is not given.
SWITCHES = ("fast_dev_run", "overfit_batches")


def standing(config: Mapping[str, Any], record: Mapping[str, Any]) -> tuple[str, str] | None:
    """``partial`` or ``outdated``, with the reason; None for a run that belongs in a table."""
    part = record.get("partial") or ", ".join(_limiting(config))
    if part:
        return "partial", f"trained or tested on a part of its batches ({part}); train it without"
    old = outdated(config, record)
    if old:
        return "outdated", f"{old}; move or delete its folder and train it again"
    return None


def _limiting(config: Mapping[str, Any]) -> list[str]:
    trainer = config.get("trainer")
    options = trainer if isinstance(trainer, Mapping) else {}
    limited = [name for name in LIMITS if not _is_all(options.get(name))]
    return [f"trainer.{name}={options[name]}" for name in [*limited, *(s for s in SWITCHES if options.get(s))]]


def _is_all(limit: Any) -> bool:
    # Lightning takes 1.0 for every batch, and the integer 1 for a single one.
    return limit is None or (isinstance(limit, float) and limit == 1)
