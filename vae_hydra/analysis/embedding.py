"""The body of ``python -m vae_hydra.embed``: encode a split with a saved run."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from vae_hydra.analysis.codes import chance_correlation, correlate
from vae_hydra.base import checks
from vae_hydra.base.command.output import output_folder
from vae_hydra.base.command.process import prepare_torch
from vae_hydra.base.files import filling_folder, replace_atomically, write_arrays, write_figure, write_json
from vae_hydra.data.datamodule import DataModule
from vae_hydra.data.examples import Examples
from vae_hydra.data.splits import are_the_same, present_labels
from vae_hydra.drawing import plots
from vae_hydra.runs.posteriors import Posteriors, class_embeddings, posteriors
from vae_hydra.runs.saved import Saved, data_of, open_run, open_saved

log = logging.getLogger(__name__)

FORMATS = ("npz", "parquet")
# Measures of a correlation in one number → title.
MEASURES = {
    "matched": "best one-to-one |Spearman|",
    "canonical": "mean canonical correlation",
    "cka": "linear CKA",
}
Arrays = Mapping[str, Tensor]


def embed(config: Mapping[str, Any]) -> Path:
    """Write a split's posteriors and class embeddings; return their folder.

    Args:
        config: resolved configuration, as composed from ``conf/embed.yaml``.

    Raises:
        ValueError: if ``run`` or ``against`` is no run, the two have different data, or ``output`` is not empty.
    """
    prepare_torch(config["threads"])
    write = _writer(checks.one_of("format", config["format"], FORMATS))
    seed = checks.seed("seed", config["seed"])
    saved = open_saved(config)
    data = data_of(saved, config["dataset_root"])
    folder = output_folder(config["output"], saved.run.folder / "embeddings")
    encoded = posteriors(saved.module, _examples(data, config["split"]), seed)
    other = _other_codes(config, saved, data)
    name = f"{saved.checkpoint.stem}-{config['split']}" + (f"-s{seed}" if seed else "")
    arrays = {**encoded.parameters, "code": encoded.codes, "z": encoded.draws, "y": encoded.y}
    title = f"{encoded.codes.shape[0]} posteriors of {encoded.codes.shape[1]} latents"
    contents: dict[str, tuple[str, Arrays]] = {title: (name, arrays)}
    if data.classes > 1:
        contents["class embeddings"] = (f"{name}-classes", _class_arrays(encoded, data.classes))
    with filling_folder(folder) as new:
        files = {title: write(new / file, content).name for title, (file, content) in contents.items()}
        if other is not None:
            path = new / f"{name}-against-{other[0]}"
            files["correlations"] = _write_correlations(encoded.codes, other[1], (saved.run.name, other[0]), path).name
    for title, file in files.items():
        log.info("%s  %s", title, folder / file)
    return folder


def _examples(data: DataModule, split: str) -> Examples:
    examples = data.prepared(split)
    if not len(examples):
        raise ValueError(f"split={split} is empty: the run was trained with dataset.validation=0")
    return examples


def _other_codes(config: Mapping[str, Any], saved: Saved, data: DataModule) -> tuple[str, Tensor] | None:
    """Name and codes of the run that ``against`` names; None without."""
    if config["against"] is None:
        return None
    other = open_run(config["against"], config["checkpoint"], config["trust"], config["accelerator"])
    other_data, split = data_of(other, config["dataset_root"]), config["split"]
    if not are_the_same(data.splits[split], other_data.splits[split]):
        raise ValueError(
            f"against={other.run.folder}: its examples are not those of {saved.run.folder}; two runs to compare need "
            "the same dataset, dataset.seed and dataset.fold, and for other splits than test also the same "
            "dataset.validation and dataset.fraction"
        )
    return other.run.name, posteriors(other.module, other_data.prepared(split)).codes


def _class_arrays(encoded: Posteriors, classes: int) -> Arrays:
    """Class embeddings and the classes ``y`` that they belong to."""
    # Outliers of a contaminated split have no class.
    encoded = _rows(encoded, encoded.y >= 0)
    present = torch.tensor(present_labels(encoded.y))
    if len(present) < classes:
        log.warning("only %d of %d classes have examples, and so class embeddings", len(present), classes)
    # class_embeddings wants consecutive labels, and a small split may lack a class.
    numbered = encoded._replace(y=torch.searchsorted(present, encoded.y))
    return {**class_embeddings(numbered, len(present)), "y": present}


def _rows(encoded: Posteriors, chosen: Tensor) -> Posteriors:
    parameters = {name: value[chosen] for name, value in encoded.parameters.items()}
    return Posteriors(parameters, encoded.codes[chosen], encoded.draws[chosen], encoded.y[chosen])


def _writer(form: str) -> Callable[[Path, Arrays], Path]:
    """The function that writes arrays to a path without ending, and returns the file."""
    if form == "npz":
        return _write_npz
    try:
        # Optional: only this format needs it.
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ValueError("format=parquet needs pyarrow: pip install 'vae_hydra[parquet]'") from error
    return _write_parquet


def _write_npz(path: Path, arrays: Arrays) -> Path:
    target = path.with_name(f"{path.name}.npz")
    write_arrays(target, {name: value.numpy() for name, value in arrays.items()})
    return target


def _write_parquet(path: Path, arrays: Arrays) -> Path:
    """One row per example, one column per number: loc_0, loc_1, …, y; of a matrix scale_tril_0_0, scale_tril_0_1, …"""
    columns: dict[str, Any] = {}
    for name, value in arrays.items():
        places = itertools.product(*map(range, value.shape[1:]))
        names = ["_".join([name, *map(str, place)]) for place in places]
        columns |= zip(names, value.reshape(len(value), -1).mT.numpy(), strict=True)
    target = path.with_name(f"{path.name}.parquet")
    replace_atomically(target, lambda temporary: pd.DataFrame(columns).to_parquet(temporary))
    return target


def _write_correlations(first: Tensor, second: Tensor, names: tuple[str, str], path: Path) -> Path:
    """Write the correlations of two runs' codes as JSON and as a figure, log them, and return the figure's file."""
    correlation, chance = correlate(first, second), chance_correlation(first, second)
    values = {name: {"value": getattr(correlation, name), "by_chance": getattr(chance, name)} for name in MEASURES}
    write_json(path.with_name(f"{path.name}.json"), {**values, "spearman": correlation.spearman.tolist()})
    picture = path.with_name(f"{path.name}.png")
    write_figure(plots.correlation_matrix(correlation.spearman, names), picture)
    for name, title in MEASURES.items():
        log.info("%-27s %.3f  (by chance %.3f)", title, values[name]["value"], values[name]["by_chance"])
    return picture
