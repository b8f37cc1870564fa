"""Sets of outliers for a run: other datasets, random and shuffled pixels, noisy examples, in its model's format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vae_hydra.base import checks
from vae_hydra.base.randomness import seeded
from vae_hydra.data.datamodule import DataModule
from vae_hydra.data.located import missing_files
from vae_hydra.data.outlier_draws import shuffled_values, uniform_values
from vae_hydra.data.splits import generator_for
from vae_hydra.runs.build import build_data, build_noise, without_short_names
from vae_hydra.training.module import VAEModule

# Options of a source that locate its files and do not change its examples.
LOCATION = ("root", "download", "cache", "in_memory")
# Values of the options that select and replace examples, so that all of another dataset is used as it is. Its scale is
# that of the run's data: the model would be blind to what differs after a scaling by its own.
WHOLE = {"fraction": 1.0, "validation": 0.0, "fold": None, "imbalance": 1.0, "contamination": 0.0, "scaling": "none"}
Node = Mapping[str, Any]
Maker = Callable[[], Tensor]


class OutlierSets(NamedTuple):
    """Sets of outliers, with notes on them.

    Attributes:
        sets: name → examples [N, *x_shape], as the model takes them.
        clipped: name → share of values outside [0, 1], which are clipped; only sets that have some.
        left_out: name → reason why the set could not be made.
    """

    sets: dict[str, Tensor]
    clipped: dict[str, float]
    left_out: dict[str, str]


def outlier_makers(
    config: Node,
    data: DataModule,
    inside: Tensor,
    datasets: Mapping[str, Callable[[], Node]],
    noises: Mapping[str, Node],
    seed: int,
    root: str | None = None,
    limit: int | None = None,
) -> dict[str, Maker]:
    """Name → a function that makes a set of outliers, or raises a ValueError with the reason why it cannot.

    The sets, where a later one hides an earlier one of its name:

    - each dataset: its test split, prepared like the run's data;
    - ``pixels``: independent values, uniform over the range of the run's data;
    - ``shuffled``: the pixels of each test example in random order;
    - each noise: test examples plus a draw of it, whatever its mode.

    Args:
        config: of the run.
        data: of the run.
        inside: its test examples [N, *x_shape], from which noisy and shuffled ones are made.
        datasets: name → a function that returns the resolved options of a dataset.
        noises: name → the options of a noise.
        seed: of all draws.
        root: folder of the datasets' files; None for that of the run.
        limit: most examples of a dataset; None for all.
    """

    def from_dataset(node: Callable[[], Node]) -> Tensor:
        other = _dataset(config, node(), tuple(data.x_shape), root).scaled_as(data)
        return other.shuffled("test", generator_for(seed, "order"), limit).x

    return {
        **{name: partial(from_dataset, node) for name, node in datasets.items()},
        "pixels": lambda: uniform_values(inside.shape, *data.value_range(), generator_for(seed, "pixels")),
        "shuffled": lambda: shuffled_values(inside, generator_for(seed, "shuffled")),
        **{name: partial(_noisy, inside, node, seed) for name, node in noises.items()},
    }


def make_sets(makers: Mapping[str, Maker], against: str | Sequence[str] | None, values: str, seed: int) -> OutlierSets:
    """The sets named in ``against``, or with None all sets that can be made.

    Args:
        makers: from ``outlier_makers``.
        against: names of sets; None for all.
        values: the values that the model takes: ``any``; ``unit``: they are clipped to [0, 1]; ``binary``: clipped
            values are the probability with which a 1 is drawn; ``positive``: sets with other values are left out.
        seed: of those draws.

    Raises:
        ValueError: for an unknown name, for a named set that cannot be made, or for an empty list.
    """
    made, raw = OutlierSets({}, {}, {}), dict[str, Tensor]()
    for name in _chosen(makers, against):
        try:
            x = _taken(makers[name](), values)
        except ValueError as error:
            if against is not None:
                raise ValueError(f"against={name}: {error}") from error
            made.left_out[name] = str(error)
            continue
        equal = [other for other, examples in raw.items() if torch.equal(x, examples)]
        if equal and against is None:
            made.left_out[name] = f"its examples are those of {equal[0]}"
            continue
        raw[name] = x
        made.sets[name] = _fitted(x, values, generator_for(seed, f"binarise {name}"))
        share = ((x < 0) | (x > 1)).float().mean().item()
        if values in ("unit", "binary") and share:
            made.clipped[name] = share
    return made


def values_taken(module: VAEModule, data: DataModule) -> str:
    """The values that a model takes: ``binary`` if its data are 0 or 1, else by its likelihood, as in ``make_sets``."""
    likelihood = module.vae.likelihood
    if data.is_binary:
        return "binary"
    return "unit" if likelihood.unit_interval else "positive" if likelihood.positive_only else "any"


def _taken(x: Tensor, values: str) -> Tensor:
    """Examples whose values have a density; ValueError for other values, which have no nearest one that has."""
    if values == "positive" and (x <= 0).any():
        share = (x <= 0).float().mean().item()
        raise ValueError(f"{share:.1%} of its values are not > 0, where this model's likelihood has no density")
    return x


def _chosen(makers: Mapping[str, Any], against: str | Sequence[str] | None) -> list[str]:
    if against is None:
        return list(makers)
    names = [against] if isinstance(against, str) else against
    if not isinstance(names, (list, tuple)) or not names:
        raise ValueError(f"against must be null or a list of names, but got {against!r}; names: {', '.join(makers)}")
    return list(dict.fromkeys(checks.one_of("against", name, makers) for name in names))


def _fitted(x: Tensor, values: str, generator: torch.Generator) -> Tensor:
    if values in ("any", "positive"):
        return x
    return x.clamp(0, 1) if values == "unit" else torch.bernoulli(x.clamp(0, 1), generator=generator)


def _dataset(config: Node, node: Node, x_shape: tuple[int, ...], root: str | None) -> DataModule:
    """Another dataset, prepared like the run's; ValueError if it is the same, is missing or has another shape."""
    trained, source = config["dataset"], node["source"]
    if _content(trained["source"]) == _content(source):
        raise ValueError("its examples are those of the run's own dataset")
    root = trained["source"].get("root") if root is None else root
    location = {"download": False} if root is None else {"download": False, "root": root}
    options = {**without_short_names(trained), **WHOLE, "source": _in_shape(source, x_shape)}
    try:
        other = build_data({**config, "classifier": {}, "dataset": options}, **location)
    except ValueError as error:
        missing = missing_files(error)
        raise ValueError(str(missing.of_saved_run() if missing else error)) from error
    if other.x_shape != x_shape:
        raise ValueError(f"its examples have shape {_shape(other.x_shape)}, those of the run {_shape(x_shape)}")
    return other


def _in_shape(source: Node, x_shape: tuple[int, ...]) -> Node:
    """The options of a source; one that makes images of any size makes those of the model."""
    if len(x_shape) != 3 or "size" not in source:
        return source
    return {**source, "size": list(x_shape[1:]), "colour": x_shape[0] == 3}


def _shape(sides: Sequence[int]) -> str:
    return "×".join(map(str, sides))


def _content(source: Node) -> dict[str, Any]:
    return {key: value for key, value in source.items() if key not in LOCATION}


def _noisy(inside: Tensor, node: Node, seed: int) -> Tensor:
    noise = build_noise({"noise": {**node, "mode": "additive"}})
    with seeded(generator_for(seed, f"noise {noise.name}").initial_seed(), inside.device):
        return noise(inside)
