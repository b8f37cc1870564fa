"""Saved runs, opened."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vae_hydra.data.datamodule import DataModule
from vae_hydra.data.located import missing_files
from vae_hydra.data.noise import Noise
from vae_hydra.runs.build import build_data
from vae_hydra.runs.checkpoint import find_checkpoint, read_checkpoint, rebuild
from vae_hydra.runs.folder import Run
from vae_hydra.runs.sharing import hub
from vae_hydra.runs.sharing.weights import read_weights, weights_path
from vae_hydra.runs.trainer import choose_device
from vae_hydra.runs.trust import from_stored
from vae_hydra.training.module import CHECKPOINT_KEY, VAEModule

log = logging.getLogger(__name__)


def load_module(path: str | Path, checkpoint: str | None = None, trust: str | Sequence[str] = ()) -> VAEModule:
    """The module of a run, of a checkpoint file, or of an exported model; arguments as for ``vae_hydra.load``."""
    place = hub.download(path) if isinstance(path, str) and path.startswith(hub.PREFIX) else path
    weights = weights_path(Path(place).expanduser())
    if weights is None:
        return rebuild(read_checkpoint(find_checkpoint(path, checkpoint)), trust)
    if checkpoint is not None:
        raise ValueError(f"{path} holds one model; leave checkpoint={checkpoint} out")
    return rebuild(read_weights(weights), trust)


class Saved(NamedTuple):
    """A run, one of its checkpoints, and the module in it, ready to evaluate.

    ``trust`` has the packages besides vae_hydra's and torch's own that its configuration may name.
    """

    run: Run
    checkpoint: Path
    module: VAEModule
    trust: str | Sequence[str] = ()


def open_run(
    run: str | Path,
    checkpoint: str | None = None,
    trust: str | Sequence[str] = (),
    accelerator: str = "auto",
    test_noises: Sequence[Noise] | None = None,
    others: Mapping[str, Any] | None = None,
) -> Saved:
    """The run in a folder.

    Args:
        run: its folder.
        checkpoint: ``best`` or ``last``; None for the best if validation chose one.
        trust: packages besides vae_hydra's and torch's own that its configuration may name.
        accelerator: the device for the model, as Lightning names it.
        test_noises, others: as for ``checkpoint.rebuild``.

    Raises:
        ValueError: if it is no run, or its checkpoint cannot be rebuilt.
    """
    opened = Run.open(run)
    path = opened.checkpoint_path(checkpoint)
    content = read_checkpoint(path)
    if (opened.folder / "config.yaml").is_file():
        # A later test may have changed them.
        content[CHECKPOINT_KEY]["config"]["test_noises"] = opened.config.get("test_noises")
    module = rebuild(content, trust, test_noises, others)
    return Saved(opened, path, module.to(choose_device(accelerator)), trust)


def open_saved(config: Mapping[str, Any], **tested: Any) -> Saved:
    """The run of a command: ``config`` has the options of ``conf/_saved.yaml``.

    ``tested`` and errors are as for ``open_run``.
    """
    return open_run(config["run"], config["checkpoint"], config["trust"], config["accelerator"], **tested)


def data_of(saved: Saved, root: str | None = None) -> DataModule:
    """The data that the run was trained on; ``root`` is the folder of their files, None for that of training."""
    if root is not None and not isinstance(root, str):
        raise ValueError(f"dataset_root must be a folder, but got {root!r}")
    dataset = saved.module.description["config"]["dataset"]
    if root is not None and "root" not in dataset["source"]:
        log.warning("dataset_root=%s is not used: dataset=%s reads no files", root, dataset.get("name"))
    elif root is not None and not Path(root).expanduser().is_dir():
        log.warning("dataset_root=%s is no existing folder", root)
    # A stranger's checkpoint must not start a download.
    location = {"download": False} if root is None else {"download": False, "root": root}
    try:
        with from_stored(saved.trust):
            data = build_data(saved.module.description["config"], **location)
    except ValueError as error:
        if missing := missing_files(error):
            raise missing.of_saved_run() from error
        raise
    check_same_files(saved.module.description, data)
    return data


def check_same_files(description: Mapping[str, Any], data: DataModule, option: str = "dataset_root") -> None:
    """Refuse a table, or a folder of images, that is not the one that a model was trained on.

    ``option`` is the command's option for the folder of the data.

    Raises:
        ValueError: if the table has changed, or the names and sizes of the images.
    """
    table = (description.get("table") or {}).get("digest"), data.table and data.table.digest
    folder = description.get("digest"), data.digest
    for thing, place, (known, found) in (("table", "file", table), ("folder of images", "files", folder)):
        if known and found and found != known:
            raise ValueError(
                f"dataset.path: the {thing} has changed since this run was trained; name the folder of the old {place} "
                f"with {option}=FOLDER, or train a new run on a copy of another name"
            )


def value_range(saved: Saved, root: str | None = None) -> tuple[float, float]:
    """The least and the greatest value of the run's training data; older checkpoints need the data for it."""
    low, high = saved.module.description["value_range"] or data_of(saved, root).value_range()
    return float(low), float(high)
