"""The classifier of a dataset's images, trained once and kept in a folder beside the runs."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from filelock import FileLock

from vae_hydra import checks
from vae_hydra.data import DataModule
from vae_hydra.files import check_writable, write_bytes, write_json
from vae_hydra.identity import identity
from vae_hydra.module import VAEModule
from vae_hydra.networks.image_classifier import ImageClassifier
from vae_hydra.recognition import RECIPE, classifier_accuracy, train_classifier
from vae_hydra.run import Run
from vae_hydra.system_errors import explained

log = logging.getLogger(__name__)

# Where the images are, and how many of them are served at a time, does not change what is learnt from them.
NOT_LEARNT = ("root", "download", "batch_size", "eval_batch_size")


class KeptClassifier(NamedTuple):
    """A classifier ready to use, its name ``<dataset>-<hash>``, and the record that is kept beside its weights.

    The record holds ``dataset`` and ``recipe``, which the hash is of, ``test_accuracy``, ``sha256`` of the weights'
    file, and ``seconds`` of training.
    """

    model: ImageClassifier
    name: str
    record: dict[str, Any]


def beside(run: Run, module: VAEModule, data: DataModule, output: str | None = None) -> KeptClassifier:
    """The classifier of a run's images, kept in ``classifiers/`` beside the run; else as ``load_or_train``.

    ``output`` is the folder that the user named, beside which it is kept if the place of the run is read-only.
    """
    spare = None if output is None else _classifiers_beside(Path(output).expanduser())
    return load_or_train(module.description["config"], data, _classifiers_beside(run.folder), module.device, spare)


def _classifiers_beside(folder: Path) -> Path:
    return folder.resolve().parent / "classifiers"


def load_or_train(
    config: Mapping[str, Any], data: DataModule, folder: Path, device: torch.device, spare: Path | None = None
) -> KeptClassifier:
    """The classifier of the images of ``config.dataset``, from ``folder`` or else trained and put there.

    It is the same one for every run on these data, whatever the model, noise, seed and order of the batches. Of
    several processes that ask for it at once, one trains it and the others wait. A file that is damaged is replaced.

    Args:
        config: resolved configuration of a run.
        data: its data.
        folder: for classifiers, made if there is none.
        device: where it is to be.
        spare: takes the place of ``folder`` if that has no such classifier and cannot be written.

    Raises:
        ValueError: if neither folder can be written, or the dataset has no name that a file could have.
    """
    described = {"dataset": _learnt(config["dataset"]), "recipe": RECIPE}
    # The name may come from someone else's checkpoint.
    name = f"{checks.plain_name('dataset.name', config['dataset'].get('name'))}-{identity(described)}"
    try:
        kept = _load(folder / name, data)
        if kept is None:
            place = folder if spare is None or _is_writable(folder) else spare
            place.mkdir(parents=True, exist_ok=True)
            with FileLock(place / f".{name}.lock"):
                kept = _load(place / name, data) or _train(place / name, data, described, device)
    except OSError as error:
        raise ValueError(
            f"the classifier of these images cannot be kept: {explained(error, 'output') or error}, or do without it "
            "(generation.features=false, recognise=false)"
        ) from error
    return KeptClassifier(kept.model.to(device), name, kept.record)


def _is_writable(folder: Path) -> bool:
    try:
        check_writable(folder)
    except OSError:
        return False
    return True


def _learnt(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a dataset that say what its training images are."""
    kept = {key: value for key, value in dataset.items() if key not in NOT_LEARNT}
    return {**kept, "source": {key: value for key, value in dataset["source"].items() if key not in NOT_LEARNT}}


def _load(path: Path, data: DataModule) -> KeptClassifier | None:
    """What was kept under a path without its endings; None where there is nothing, or nothing whole."""
    weights, notes = path.with_name(f"{path.name}.pt"), path.with_name(f"{path.name}.json")
    if not (weights.is_file() and notes.is_file()):
        return None
    try:
        record, content = json.loads(notes.read_text(encoding="utf-8")), weights.read_bytes()
        if hashlib.sha256(content).hexdigest() != record["sha256"]:
            raise ValueError("it is not the file that was written")
        model = ImageClassifier(data.x_shape, data.classes, data.value_range())
        model.load_state_dict(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
        record["test_accuracy"] = float(record["test_accuracy"])
    except OSError:
        raise
    except Exception as error:
        log.warning("%s is damaged (%s) and trained again", weights, error)
        return None
    return KeptClassifier(model.eval(), path.name, record)


def _train(path: Path, data: DataModule, described: Mapping[str, Any], device: torch.device) -> KeptClassifier:
    log.info("training a classifier of these images, once: %s", path)
    start = time.perf_counter()
    model = train_classifier(data, device)
    seconds = time.perf_counter() - start
    content = io.BytesIO()
    torch.save({key: value.cpu() for key, value in model.state_dict().items()}, content)
    record = {
        **described,
        "test_accuracy": classifier_accuracy(model, data),
        "sha256": hashlib.sha256(content.getvalue()).hexdigest(),
        "seconds": seconds,
    }
    write_bytes(path.with_name(f"{path.name}.pt"), content.getvalue())
    write_json(path.with_name(f"{path.name}.json"), record)
    return KeptClassifier(model, path.name, record)
