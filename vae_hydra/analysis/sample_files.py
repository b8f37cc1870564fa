"""The body of ``python -m vae_hydra.generate``: write generated examples as a picture, a dataset and arrays."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from vae_hydra.analysis.image_classifier import can_be_recognised, classifier_of_run, labels_of
from vae_hydra.analysis.sampling import Generated, Request, generate_examples
from vae_hydra.base import checks
from vae_hydra.base.command.output import output_folder
from vae_hydra.base.command.process import prepare_torch
from vae_hydra.base.files import filling_folder, write_arrays, write_figure, write_json, write_text
from vae_hydra.data.datamodule import DataModule
from vae_hydra.data.image_folder import write_image_folder
from vae_hydra.data.table_rows import rows_of_table
from vae_hydra.drawing import plots
from vae_hydra.runs.saved import Saved, data_of, open_saved, value_range

log = logging.getLogger(__name__)

# Most examples in the picture.
MOST_SHOWN = 256


class Arrays(NamedTuple):
    """Examples x [n, *x_shape], their latents z [n, L], and their labels y [n], or None without labels."""

    x: np.ndarray
    z: np.ndarray
    y: np.ndarray | None


def generate_arrays(config: Mapping[str, Any]) -> Arrays:
    """Generated examples as arrays; their files are written only if ``config`` names an ``output``.

    Arguments and errors are as for ``generate``.
    """
    if config["output"] is not None:
        made = _generate(config)[1]
    elif files := [name for name in ("images", "arrays", "recognise") if config[name]]:
        raise ValueError(f"{files[0]} is about files; add output=FOLDER for them")
    else:
        prepare_torch(config["threads"])
        request = _request(config)
        made = _made(config, open_saved(config), request)[1]
    y = None if made.y is None else made.y.cpu().numpy()
    return Arrays(made.x.cpu().numpy(), made.z.cpu().numpy(), y)


def generate(config: Mapping[str, Any]) -> Path:
    """Write generated examples as a picture and, on request, as a dataset and as arrays; return their folder.

    Args:
        config: resolved configuration, as composed from ``conf/generate.yaml``.

    Raises:
        ValueError: if ``run`` is no run, if it cannot generate the request, or if the output exists already.
    """
    return _generate(config)[0]


def _generate(config: Mapping[str, Any]) -> tuple[Path, Generated]:
    """Write generated examples; return their folder and the examples."""
    prepare_torch(config["threads"])
    request = _request(config)
    saved = open_saved(config)
    default = saved.run.folder / "generated" / _folder_name(request, config["checkpoint"])
    folder = output_folder(config["output"], default)
    data, made = _made(config, saved, request)
    _check_outputs(config, made, folder)
    record = {"checkpoint": saved.checkpoint.stem, **asdict(request)}
    if data is not None and config["recognise"]:
        record["recognised"] = _recognised(saved, data, made, config["output"])
    with filling_folder(folder) as new:
        described = saved.module.description.get("table")
        rows = rows_of_table(made.x.cpu(), made.y, described) if described else None
        written = _write(config, made, rows, value_range(saved, config["dataset_root"]), new)
        write_json(new / "generated.json", record)
    for title, name in written.items():
        log.info("%-8s %s", title, folder / name)
    log.info("%d examples in %s", request.n, folder)
    return folder, made


def _made(config: Mapping[str, Any], saved: Saved, request: Request) -> tuple[DataModule | None, Generated]:
    """The data, if the request needs them, and the examples."""
    needs_data = request.by != "prior" or config["recognise"]
    data = data_of(saved, config["dataset_root"]) if needs_data else None
    made = generate_examples(saved.module, data, request)
    if request.by == "class_embedding" and not saved.module.vae.sampler.has_elbo:
        log.warning("the posteriors of sampler=deterministic are points: all examples of a class are the same")
    return data, made


def _request(config: Mapping[str, Any]) -> Request:
    for name in ("images", "arrays", "recognise"):
        checks.boolean(name, config[name])
    names = ("n", "seed", "by", "mix", "weight", "temperature", "components", "draw")
    return Request(label=config["class"], **{name: config[name] for name in names})


def _folder_name(request: Request, checkpoint: str | None) -> str:
    """Name of the folder in ``generated/``; different requests have different names."""
    parts = [request.by, f"n{request.n}", f"s{request.seed}"]
    parts += [checkpoint] if checkpoint else []
    parts += [f"class{request.label}"] if request.label is not None else []
    parts += [f"mix{request.mix}x{request.weight:g}"] if request.mix is not None else []
    parts += [f"temperature{request.temperature:g}"] if request.temperature != 1 else []
    parts += [f"components{request.components}"] if request.by == "aggregate_posterior" else []
    return "-".join([*parts, *(["drawn"] if request.draw else [])])


def _check_outputs(config: Mapping[str, Any], made: Generated, folder: Path) -> None:
    """Refuse, before anything is written, outputs that these examples do not have or that exist already."""
    are_images = made.x.dim() == 4
    if config["recognise"] and not are_images:
        raise ValueError("recognise: these examples are no images")
    if not config["images"]:
        return
    if not are_images or made.x.shape[1] not in (1, 3):
        raise ValueError("images: only examples of one or three channels can be written as such; use arrays=true")
    if made.y is None:
        raise ValueError(
            "images: these examples have no labels; use by=class_embedding or by=aggregate_posterior without mix, or "
            "a run with condition=both or classifier=mlp"
        )
    if (folder / "images").exists():
        raise ValueError(f"{folder / 'images'} is there already; delete it, or say output=FOLDER")


def _write(
    config: Mapping[str, Any], made: Generated, rows: pd.DataFrame | None, limits: tuple[float, float], folder: Path
) -> dict[str, str]:
    """Write the requested outputs into a folder, and ``rows`` of a table; return title → file."""
    if made.x.dim() == 4:
        labels = None if made.y is None else made.y[:MOST_SHOWN]
        figure = plots.image_grid(made.x[:MOST_SHOWN], limits, labels)
    elif rows is not None:
        values = rows[rows.columns[: made.x.shape[1]]]
        figure = plots.point_clouds({"generated": values.to_numpy()}, list(values.columns))
    else:
        figure = plots.point_clouds({"generated": made.x})
    written = {"picture": "generated.png"}
    write_figure(figure, folder / written["picture"])
    if config["images"]:
        assert made.y is not None
        written["dataset"] = "images"
        write_image_folder(made.x, made.y, limits, folder / written["dataset"])
    if rows is not None:
        written["table"] = "generated.csv"
        write_text(folder / written["table"], rows.to_csv(index=False))
    if config["arrays"]:
        arrays = {name: np.asarray(value) for name, value in made._asdict().items() if value is not None}
        written["arrays"] = "generated.npz"
        write_arrays(folder / written["arrays"], arrays)
    return written


def _recognised(saved: Saved, data: DataModule, made: Generated, output: str | None) -> dict[str, Any]:
    """Number of generated images in each class, by a classifier of the training images, and its accuracy on them."""
    if not can_be_recognised(data):
        raise ValueError("recognise: this run's data are not images of two classes or more")
    classifier = classifier_of_run(saved.run, saved.module, data, output)
    labels = labels_of(classifier.model, made.x)
    counts = labels.bincount(minlength=data.classes).tolist()
    log.info("recognised as 0, 1, …: %s", ", ".join(map(str, counts)))
    accuracy = classifier.record["test_accuracy"]
    record: dict[str, Any] = {"classifier": classifier.name, "test_accuracy": accuracy, "counts": counts}
    if made.y is not None:
        record["accuracy"] = (labels == made.y).double().mean().item()
        log.info("recognised as the class asked for: %.4g %%", 100 * record["accuracy"])
    return record
