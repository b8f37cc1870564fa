"""Generate examples from a saved run: ``python -m vae_hydra.generate run=outputs/<run>``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vae_hydra.base.command.output import output_folder
from vae_hydra.base.command.process import prepare_torch

if TYPE_CHECKING:
    from vae_hydra.analysis.sampling import Generated, Request
    from vae_hydra.data.datamodule import DataModule
    from vae_hydra.runs.saved import Saved

log = logging.getLogger(__name__)

# More are not shown in one picture.
MOST_SHOWN = 256


def generate(config: Mapping[str, Any]) -> Path:
    """Write generated examples as a picture and, if asked, as a dataset and as arrays; return their folder.

    Args:
        config: resolved configuration, as ``conf/generate.yaml`` composes it.

    Raises:
        ValueError: if ``run`` is no run, for what it cannot generate, and for an output that is there already.
    """
    from vae_hydra.analysis.sampling import generate_examples
    from vae_hydra.base.files import filling_folder, write_json
    from vae_hydra.runs.saved import data_of, open_saved, value_range

    prepare_torch(config["threads"])
    request = _request(config)
    saved = open_saved(config)
    default = saved.run.folder / "generated" / _name(request, config["checkpoint"])
    folder = output_folder(config["output"], default)
    needs_data = request.by != "prior" or config["recognise"]
    data = data_of(saved, config["dataset_root"]) if needs_data else None
    made = generate_examples(saved.module, data, request)
    if request.by == "class_embedding" and not saved.module.vae.sampler.has_elbo:
        log.warning("the posteriors of sampler=deterministic are points: all examples of a class are the same")
    _check_asked(config, made, folder)
    record = {"checkpoint": saved.checkpoint.stem, **asdict(request)}
    if data is not None and config["recognise"]:
        record["recognised"] = _recognised(saved, data, made, config["output"])
    with filling_folder(folder) as new:
        written = _write(config, made, value_range(saved, config["dataset_root"]), new)
        write_json(new / "generated.json", record)
    for title, name in written.items():
        log.info("%-8s %s", title, folder / name)
    log.info("%d examples in %s", request.n, folder)
    return folder


def _request(config: Mapping[str, Any]) -> Request:
    from vae_hydra.analysis.sampling import Request
    from vae_hydra.base import checks

    for name in ("images", "arrays", "recognise"):
        checks.boolean(name, config[name])
    names = ("n", "seed", "by", "mix", "weight", "temperature", "components", "draw")
    return Request(label=config["class"], **{name: config[name] for name in names})


def _name(request: Request, checkpoint: str | None) -> str:
    """Requests that differ have names that differ."""
    parts = [request.by, f"n{request.n}", f"s{request.seed}"]
    parts += [checkpoint] if checkpoint else []
    parts += [f"class{request.label}"] if request.label is not None else []
    parts += [f"mix{request.mix}x{request.weight:g}"] if request.mix is not None else []
    parts += [f"temperature{request.temperature:g}"] if request.temperature != 1 else []
    parts += [f"components{request.components}"] if request.by == "aggregate_posterior" else []
    return "-".join([*parts, *(["drawn"] if request.draw else [])])


def _check_asked(config: Mapping[str, Any], made: Generated, folder: Path) -> None:
    """Refuse, before anything is written, a dataset that cannot be had or would be in the way of another."""
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


def _write(config: Mapping[str, Any], made: Generated, limits: tuple[float, float], folder: Path) -> dict[str, str]:
    """Write what is asked for into a folder, and say what is in which file."""
    import numpy as np

    from vae_hydra.base.files import write_arrays, write_figure
    from vae_hydra.data.image_folder import write_image_folder
    from vae_hydra.drawing import plots

    if made.x.dim() == 4:
        labels = None if made.y is None else made.y[:MOST_SHOWN]
        figure = plots.image_grid(made.x[:MOST_SHOWN], limits, labels)
    else:
        figure = (plots.histograms if made.x.shape[1] == 1 else plots.scatter_panels)({"generated": made.x})
    written = {"picture": "generated.png"}
    write_figure(figure, folder / written["picture"])
    if config["images"]:
        assert made.y is not None
        written["dataset"] = "images"
        write_image_folder(made.x, made.y, limits, folder / written["dataset"])
    if config["arrays"]:
        arrays = {name: np.asarray(value) for name, value in made._asdict().items() if value is not None}
        written["arrays"] = "generated.npz"
        write_arrays(folder / written["arrays"], arrays)
    return written


def _recognised(saved: Saved, data: DataModule, made: Generated, output: str | None) -> dict[str, Any]:
    """What a classifier of the training images makes of the generated ones."""
    from vae_hydra.analysis.image_classifier import beside, can_be_recognised, labels_of

    if not can_be_recognised(data):
        raise ValueError("recognise: the data of this run are no images of two classes or more")
    kept = beside(saved.run, saved.module, data, output)
    found = labels_of(kept.model, made.x)
    counts = found.bincount(minlength=data.classes).tolist()
    log.info("recognised as 0, 1, …: %s", ", ".join(map(str, counts)))
    record: dict[str, Any] = {"classifier": kept.name, "test_accuracy": kept.record["test_accuracy"], "counts": counts}
    if made.y is not None:
        record["accuracy"] = (found == made.y).double().mean().item()
        log.info("recognised as the class they were meant to be: %.4g %%", 100 * record["accuracy"])
    return record
