"""Encode a split with a saved run: ``python -m vae_hydra.embed run=outputs/<run>``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vae_hydra.base.command.output import output_folder
from vae_hydra.base.command.process import prepare_torch

if TYPE_CHECKING:
    from torch import Tensor

    from vae_hydra.data.datamodule import DataModule
    from vae_hydra.data.examples import Examples
    from vae_hydra.runs.posteriors import Posteriors
    from vae_hydra.runs.saved import Saved

log = logging.getLogger(__name__)

FORMATS = ("npz", "parquet")


def embed(config: Mapping[str, Any]) -> Path:
    """Write a split's posteriors and class embeddings; return their folder.

    Args:
        config: resolved configuration, as ``conf/embed.yaml`` composes it.

    Raises:
        ValueError: if ``run`` or ``against`` is no run, the two are not of the same data, or files are in the way.
    """
    from vae_hydra.base import checks
    from vae_hydra.base.files import filling_folder
    from vae_hydra.runs.posteriors import posteriors
    from vae_hydra.runs.saved import data_of, open_saved

    prepare_torch(config["threads"])
    write = _writer(checks.one_of("format", config["format"], FORMATS))
    seed = checks.seed("seed", config["seed"])
    saved = open_saved(config)
    data = data_of(saved, config["dataset_root"])
    folder = output_folder(config["output"], saved.run.folder / "embeddings")
    encoded = posteriors(saved.module, _examples(data, config["split"]), seed)
    other, codes = _other(config, saved, data)
    name = f"{saved.checkpoint.stem}-{config['split']}" + (f"-s{seed}" if seed else "")
    arrays = {**encoded.parameters, "code": encoded.codes, "z": encoded.draws, "y": encoded.y}
    written = {f"{encoded.codes.shape[0]} posteriors of {encoded.codes.shape[1]} latents": (name, arrays)}
    if data.classes > 1:
        written["class embeddings"] = (f"{name}-classes", _class_arrays(encoded, data.classes))
    with filling_folder(folder) as new:
        files = {title: write(new / file, content).name for title, (file, content) in written.items()}
        if other is not None:
            path = new / f"{name}-against-{other}"
            files["correlations"] = _correlate(encoded.codes, codes, (saved.run.name, other), path).name
    for title, file in files.items():
        log.info("%s  %s", title, folder / file)
    return folder


def _examples(data: DataModule, split: str) -> Examples:
    examples = data.prepared(split)
    if not len(examples):
        raise ValueError(f"split={split} is empty: the run was trained with dataset.validation=0")
    return examples


def _other(config: Mapping[str, Any], saved: Saved, data: DataModule) -> tuple[str | None, Any]:
    """Name and codes of the run that this one is compared with; neither if there is none."""
    from vae_hydra.runs.posteriors import posteriors
    from vae_hydra.runs.saved import data_of, open_run

    if config["against"] is None:
        return None, None
    other = open_run(config["against"], config["checkpoint"], config["trust"], config["accelerator"])
    others, split = data_of(other, config["dataset_root"]), config["split"]
    _check_same_data(saved, other, data.splits[split], others.splits[split])
    return other.run.name, posteriors(other.module, others.prepared(split)).codes


def _writer(form: str) -> Any:
    if form == "npz":
        return _write_npz
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ValueError("format=parquet needs pyarrow: pip install 'vae_hydra[parquet]'") from error
    return _write_parquet


def _write_npz(path: Path, arrays: Mapping[str, Any]) -> Path:
    from vae_hydra.base.files import write_arrays

    target = path.with_name(f"{path.name}.npz")
    write_arrays(target, {name: value.numpy() for name, value in arrays.items()})
    return target


def _write_parquet(path: Path, arrays: Mapping[str, Any]) -> Path:
    """A row an example, a column a number: loc_0, loc_1, …, y."""
    import pandas as pd

    from vae_hydra.base.files import replace_atomically

    columns: dict[str, Any] = {}
    for name, value in arrays.items():
        one = value.dim() == 1
        columns |= (
            {name: value.numpy()} if one else {f"{name}_{i}": column.numpy() for i, column in enumerate(value.mT)}
        )
    target = path.with_name(f"{path.name}.parquet")
    replace_atomically(target, lambda temporary: pd.DataFrame(columns).to_parquet(temporary))
    return target


def _class_arrays(encoded: Posteriors, classes: int) -> dict[str, Any]:
    import torch

    from vae_hydra.runs.posteriors import class_embeddings

    present = encoded.y.unique()
    if len(present) < classes:
        log.warning("there are examples of %d of %d classes only, and embeddings of those", len(present), classes)
    # Counted anew: a small split need not have every class.
    numbered = encoded._replace(y=torch.searchsorted(present, encoded.y))
    return {**class_embeddings(numbered, len(present)), "y": present}


def _check_same_data(saved: Saved, other: Saved, mine: Examples, theirs: Examples) -> None:
    from vae_hydra.data.splits import are_the_same

    if not are_the_same(mine, theirs):
        raise ValueError(
            f"against={other.run.folder}: its examples are not those of {saved.run.folder}; only runs on the same "
            "dataset, dataset.seed and dataset.fold can be compared, and, but for the test split, with the same "
            "dataset.validation and dataset.fraction"
        )


def _correlate(first: Tensor, second: Tensor, names: tuple[str, str], path: Path) -> Path:
    """Write the correlations of two runs' codes as JSON and as a picture, print them, and return the picture."""
    from vae_hydra.analysis.codes import by_chance, correlate
    from vae_hydra.base.files import write_figure, write_json
    from vae_hydra.drawing import plots

    found, chance = correlate(first, second), by_chance(first, second)
    measures = {
        name: {"value": getattr(found, name), "by_chance": getattr(chance, name)}
        for name in ("matched", "canonical", "cka")
    }
    write_json(path.with_name(f"{path.name}.json"), {**measures, "spearman": found.spearman.tolist()})
    figure = plots.correlation_matrix(found.spearman, names)
    picture = path.with_name(f"{path.name}.png")
    write_figure(figure, picture)
    titles = {
        "matched": "best one-to-one |Spearman|",
        "canonical": "mean canonical correlation",
        "cka": "linear CKA",
    }
    for name, title in titles.items():
        log.info("%-27s %.3f  (by chance %.3f)", title, measures[name]["value"], measures[name]["by_chance"])
    return picture
