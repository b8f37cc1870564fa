"""The contaminant of a run's dataset, from its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vae_hydra.base import checks
from vae_hydra.base.command.groups import option, option_names
from vae_hydra.data.contamination import KINDS

# Options that a named dataset takes over from the run's own: where files are, and the form of images.
SHARED = ("root", "download", "cache", "in_memory", "size", "colour")


def contaminant_of(dataset: Mapping[str, Any], location: Mapping[str, Any]) -> Any:
    """The argument ``contaminant`` of the DataModule: a kind of noise, or the options of a source.

    Args:
        dataset: options of the run's dataset, whose ``contaminant`` is a kind of noise, the name of a dataset, or the
            options of a source with their ``_target_``.
        location: options that replace those of the source, such as ``root`` and ``download``.

    Raises:
        ValueError: for another name.
    """
    given = dataset.get("contaminant", KINDS[0])
    # Without contamination, no files are needed.
    if given in KINDS or not dataset.get("contamination"):
        return KINDS[0] if isinstance(given, Mapping) else given
    if not isinstance(given, Mapping):
        given = _named(given, dataset["source"])
    return {**given, **{key: value for key, value in location.items() if key in given}}


def _named(name: Any, own: Mapping[str, Any]) -> dict[str, Any]:
    checks.one_of("dataset.contaminant", name, [*KINDS, *option_names("dataset")])
    source = option("dataset", name)["source"]
    return {**source, **{key: own[key] for key in SHARED if key in source and key in own}}
