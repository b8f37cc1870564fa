"""Export a trained model into a folder for others."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from vae_hydra.base import checks
from vae_hydra.base.command.output import check_output, is_taken, named_folder
from vae_hydra.base.command.process import prepare_torch
from vae_hydra.base.files import replacing_folder, write_json, write_text
from vae_hydra.data.examples import Examples
from vae_hydra.runs.checkpoint import read_checkpoint
from vae_hydra.runs.folder import Run
from vae_hydra.runs.reading import read_run
from vae_hydra.runs.saved import Saved, data_of, open_saved, value_range
from vae_hydra.runs.sharing.card import Shared, card
from vae_hydra.runs.sharing.parts import parts_of
from vae_hydra.runs.sharing.programs import BATCHES, ONNX_PACKAGES, check_installed
from vae_hydra.runs.sharing.write import ALL_FORMATS, described, write_model

log = logging.getLogger(__name__)

CARD, RECORD = "README.md", "export.json"


def export(config: Mapping[str, Any]) -> Path:
    """Write a run's model, its configuration and its card into a folder, and log its content.

    Args:
        config: resolved configuration, as ``conf/export.yaml`` composes it.

    Returns:
        The folder.

    Raises:
        ValueError: if ``run`` is no run, its checkpoint cannot be rebuilt, the folder must not be overwritten, or an
            exported program differs from the model; nothing is written then.
    """

    tolerance, formats = checks.positive("tolerance", config["tolerance"]), _formats(config["formats"])
    prepare_torch(config["threads"])
    saved = open_saved(config)
    folder = _folder(config["output"], saved.run)
    with replacing_folder(folder) as new:
        shared = _write(new, saved, formats, tolerance, config["dataset_root"])
        write_text(new / CARD, card(shared))
        files = {**shared.files, CARD: described(new / CARD)}
        about = {"run": shared.name, "checkpoint": shared.trained["checkpoint"], "epoch": shared.trained["epoch"]}
        compared = {"tolerance": tolerance, "tried_on": shared.tried_on}
        write_json(new / RECORD, {**about, **compared, "versions": _versions(), "files": files})
    log.info("%s", _listing(files, shared.tried_on))
    log.info("written to %s", folder)
    return folder


def _listing(files: Mapping[str, Mapping[str, Any]], tried_on: str) -> str:
    """A line for each file: its size, and for a program its largest difference from the model."""
    differences = {name: entry.get("largest_difference") for name, entry in files.items()}
    compared = {
        name: "" if value is None else f"  largest difference from the model {value:.1e}, on {tried_on}"
        for name, value in differences.items()
    }
    return "\n".join(f"{name:<18} {entry['bytes']:>12,} bytes{compared[name]}" for name, entry in files.items())


def _write(folder: Path, saved: Saved, formats: list[str], tolerance: float, root: str | None) -> Shared:
    """Write the model's files; return the content of its card."""

    module = saved.module.cpu()
    span = value_range(saved, root)
    examples, tried_on = _examples(saved, span, root)
    parts = parts_of(module, examples)
    files = write_model(folder, module, parts, formats, span, tolerance)
    stem = saved.checkpoint.stem
    trained = {**saved.run.record, "checkpoint": stem, "epoch": read_checkpoint(saved.checkpoint).get("epoch")}
    scores = _scores(saved.run, stem)
    return Shared(saved.run.name, module, parts, formats, files, trained, scores, span, tried_on, tolerance)


def _formats(given: Any) -> list[str]:
    """The option ``formats`` as a list, checked."""

    named = [given] if isinstance(given, str) else given
    if not isinstance(named, list) or not named:
        raise ValueError(f"formats must be a list of any of {', '.join(ALL_FORMATS)}, but got {given!r}")
    formats = [checks.one_of("formats", name, ALL_FORMATS) for name in named]
    check_installed(formats)
    return formats


def _folder(output: Any, run: Run) -> Path:
    """The folder to export to: ``output``, which must be new or empty, or export/ of the run, replaced if unchanged."""
    if output is None:
        folder = run.folder.resolve() / "export"
        others = _not_exported(folder)
        if others:
            raise ValueError(
                f"{folder} holds {', '.join(others)}, not as an export wrote it; move it away, or name another folder: "
                "output=FOLDER"
            )
        # The new export is written beside the old one.
        check_output(folder.parent, str(folder))
        return folder
    folder = named_folder(output).resolve()
    if is_taken(folder):
        raise ValueError(f"output={output} exists and is not overwritten; remove it, or name another folder")
    check_output(folder.parent, f"output={output}")
    return folder


def _not_exported(folder: Path) -> list[str]:
    """Names of files in ``folder`` that no export wrote, or that have changed since."""

    if not folder.exists():
        return []
    try:
        written = json.loads((folder / RECORD).read_text(encoding="utf-8"))["files"]
        return sorted(
            path.name
            for path in folder.iterdir()
            if path.name != RECORD and described(path)["sha256"] != written.get(path.name, {}).get("sha256")
        )
    except (OSError, ValueError, KeyError, AttributeError):
        return sorted(path.name for path in folder.iterdir())


def _examples(saved: Saved, span: tuple[float, float], root: str | None) -> tuple[Examples, str]:
    """Clean examples to try programs on, and their description; random ones if the test data are not available."""

    number = max(BATCHES)
    try:
        test = data_of(saved, root).prepared("test", number)
        return test[torch.arange(number) % len(test)], "test examples"
    except ValueError as error:
        log.info("the data are not there (%s); random examples in their place", error)
    description, (low, high) = saved.module.description, span
    generator = torch.Generator().manual_seed(0)
    x = low + (high - low) * torch.rand(number, *description["x_shape"], generator=generator)
    return Examples(x, torch.randint(max(1, description["classes"]), (number,), generator=generator)), (
        "random examples in the range of the data"
    )


def _scores(run: Run, checkpoint: str) -> dict[str, float]:
    """The test scores of this checkpoint, from training or from an evaluation; empty if there are none."""

    read = read_run(run.folder)
    if read.metrics and read.record.get("checkpoint") == checkpoint:
        return dict(read.metrics)
    return dict(read.evaluations.get(f"{checkpoint}-test", {}).get("scores", {}))


def _versions() -> dict[str, str]:
    """Versions of the installed packages that write exports."""

    return {name: version(name) for name in ("vae_hydra", "torch", "safetensors", *ONNX_PACKAGES) if find_spec(name)}
