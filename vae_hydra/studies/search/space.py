"""The space of a search: options of training, each with its choices or its range."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from optuna import Trial
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from vae_hydra.base import checks
from vae_hydra.base.command.groups import has_option
from vae_hydra.base.command.overrides import split
from vae_hydra.base.command.words import quoted
from vae_hydra.studies.sweep.names import is_about_runs

KEYS = ("choices", "low", "high", "log", "step")
# Text that Hydra's grammar needs no quotes for, unless it is one of the words that mean another value.
PLAIN = re.compile(r"[A-Za-z_][\w./-]*")
NOT_PLAIN = ("true", "false", "null", "nan", "inf")
# ELBOs of different data cannot be compared.
OF_THE_DATA = ("dataset", "dataset.")
HOW_DATA_ARE_FED = ("dataset.batch_size", "dataset.eval_batch_size")


def read_space(space: Any, typed: Collection[str]) -> dict[str, BaseDistribution]:
    """Option → its choices or range, without the options in ``typed``.

    A choice is the text that the command line has for it.

    Args:
        space: ``search.space``: options by group, each with ``choices``, or ``low`` and ``high`` and perhaps ``log``
            and ``step``.
        typed: options that the command line fixes for all trials.

    Raises:
        ValueError: for an option that cannot be searched, an invalid range, or an empty space.
    """
    found = {option: _distribution(option, node) for option, node in _options(checks.group("search.space", space))}
    for option in found:
        _check_can_be_searched(option)
    _check_likelihoods(found.get("likelihood"))
    _check_conditions(found.get("condition"))
    left = {option: domain for option, domain in found.items() if split(option)[0] not in typed}
    if not left:
        raise ValueError(
            "search.space has no option left to search; add one, as in "
            "'+search.space.optimizer.lr={low:1e-4,high:1e-2,log:true}'"
        )
    return left


def suggest(trial: Trial, space: Mapping[str, BaseDistribution]) -> list[str]:
    """The overrides of a trial, one an option; values that ``trial`` lacks are drawn now.

    An option that only some choices of a searched group have is left out with the others.
    """
    found: dict[str, str] = {}
    for option in sorted(space, key=lambda option: _searched_group(option, space) is not None):
        group = _searched_group(option, space)
        if group is None or has_option(found[group], option):
            found[option] = _suggested(trial, option, space[option])
    return [f"{option}={value}" for option, value in found.items()]


def first_values(space: Mapping[str, BaseDistribution]) -> list[str]:
    """The overrides of one point, without options of a searched group: not each of its choices need have them."""
    return [values(option, domain)[0] for option, domain in space.items() if not _searched_group(option, space)]


def further_values(
    space: Mapping[str, BaseDistribution], is_group: Callable[[str], bool]
) -> Iterator[tuple[str, list[list[str]]]]:
    """Values that the first point leaves unchecked: other choices of a group, and options of a searched group.

    Yields:
        The override, and lists of overrides to try it with, one for each choice of its group. One of them has to work.
    """
    for option, domain in space.items():
        group = _searched_group(option, space)
        if group:
            (value, *_) = values(option, domain)
            yield value, [[choice, value] for choice in values(group, space[group])]
        elif is_group(option):
            yield from ((value, [[value]]) for value in values(option, domain)[1:])


def values(option: str, domain: BaseDistribution) -> list[str]:
    """The overrides for every choice, or for the lower end of a range."""
    has_choices = isinstance(domain, CategoricalDistribution)
    texts = domain.choices if has_choices else [written(domain.low)]  # type: ignore[attr-defined]
    return [f"{option}={text}" for text in texts]


def _searched_group(option: str, space: Mapping[str, BaseDistribution]) -> str | None:
    group = split(option)[0].partition(".")[0]
    return group if group != option and group in space else None


def written(value: Any) -> str:
    """A value in Hydra's grammar.

    >>> written([1, 2.5e-7, None, True, "relu", "a b"]), written({"low": 1})
    ("[1,2.5e-07,null,true,relu,'a b']", '{low:1}')
    """
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(written, value))}]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{written(entry)}" for key, entry in value.items()) + "}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        is_plain = PLAIN.fullmatch(value) and value.lower() not in NOT_PLAIN
        return value if is_plain else quoted(value)
    return repr(value)


def _options(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Dotted path → choices or range of every option; entries of a group that are groups are options within it."""
    for key, entry in node.items():
        path = f"{prefix}{key}"
        group = checks.group(f"search.space.{path}", entry)
        domain = {name: value for name, value in group.items() if not isinstance(value, Mapping)}
        if domain or not group:
            yield path, domain
        yield from _options({name: value for name, value in group.items() if name not in domain}, f"{path}.")


def _distribution(option: str, node: Mapping[str, Any]) -> BaseDistribution:
    name = f"search.space.{option}"
    has_choices, has_range = "choices" in node, {"low", "high"} <= node.keys()
    unknown = [key for key in node if key not in KEYS]
    if unknown:
        name, node = f"{name}.{unknown[0]}", node[unknown[0]]
    if unknown or has_choices == has_range or (has_choices and len(node) > 1):
        raise ValueError(
            f"{name} must be {{choices: […]}} or {{low: …, high: …[, log: true][, step: …]}}, but got {node}"
        )
    return _choices(name, node["choices"]) if has_choices else _range(name, node)


def _choices(name: str, values: Any) -> CategoricalDistribution:
    if not isinstance(values, list) or not values:
        raise ValueError(f"{name}.choices must be a list of values, but got {values!r}")
    return CategoricalDistribution(list(dict.fromkeys(map(written, values))))


def _range(name: str, node: Mapping[str, Any]) -> BaseDistribution:
    low, high, step = node["low"], node["high"], node.get("step")
    log = checks.boolean(f"{name}.log", node.get("log", False))
    numbers = [low, high, *([] if step is None else [step])]
    if not all(type(value) in (int, float) for value in numbers):
        raise ValueError(f"{name}: low, high and step must be numbers, but got {dict(node)}")
    try:
        if all(isinstance(value, int) for value in numbers):
            return IntDistribution(low, high, log, 1 if step is None else step)
        return FloatDistribution(float(low), float(high), log, step)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _suggested(trial: Trial, option: str, domain: BaseDistribution) -> str:
    match domain:
        case CategoricalDistribution():
            return str(trial.suggest_categorical(option, domain.choices))
        case IntDistribution():
            return written(trial.suggest_int(option, domain.low, domain.high, step=domain.step, log=domain.log))
        case FloatDistribution():
            return written(trial.suggest_float(option, domain.low, domain.high, step=domain.step, log=domain.log))
    raise TypeError(f"no such domain: {domain!r}")


def _check_can_be_searched(option: str) -> None:
    key, _ = split(option)
    if not is_about_runs(key) or key.startswith(("search", "trials")):
        raise ValueError(
            f"search.space.{option} is about where or how runs are trained, not what they are: it cannot be searched"
        )
    if key.startswith(OF_THE_DATA) and key not in HOW_DATA_ARE_FED:
        raise ValueError(
            f"search.space.{option} changes the data, and ELBOs of different data cannot be compared; of dataset only "
            f"{' and '.join(HOW_DATA_ARE_FED)} can be searched"
        )


def _check_likelihoods(domain: BaseDistribution | None) -> None:
    choices = domain.choices if isinstance(domain, CategoricalDistribution) else ()
    if "bernoulli" in choices and len(choices) > 1:
        raise ValueError(
            "search.space.likelihood: bernoulli is no density of grey values, so its ELBO cannot be compared with that "
            "of another likelihood; leave it out, or fix it with likelihood=bernoulli"
        )


def _check_conditions(domain: BaseDistribution | None) -> None:
    if isinstance(domain, CategoricalDistribution) and len(domain.choices) > 1:
        raise ValueError(
            "search.space.condition: the ELBO of a model that is given labels bounds log p(x|y), which cannot be "
            "compared with log p(x); leave it out, or fix it with condition=NAME"
        )
