"""What is known of a saved run, whatever became of it: plain values, for people and for scripts."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vae_hydra.reporting.folders import RunFolder, read_run
from vae_hydra.run import CHECKPOINTS, Run, read_checkpoint

Facts = dict[str, Any]


def facts_of(run: Run, trust: str | Sequence[str] = (), look_inside: bool = True) -> Facts:
    """Everything that a run's folder tells, as JSON would have it; what is damaged is under ``problems``.

    Args:
        run: done or not; its data are not needed.
        trust: packages besides vae_hydra's and torch's own that its configuration may name.
        look_inside: whether to open checkpoints, for their epochs, parameters and layers, which takes torch.
    """
    read = read_run(run.folder)
    files = files_of(run.folder)
    problems = [*([read.problem] if read.problem else []), *read.remarks]
    inside = _inside(run, trust, problems) if look_inside else {}
    return {
        "run": run.name,
        "folder": str(run.folder.resolve()),
        "status": read.status,
        **{key: read.record.get(key) for key in ("error", "started", "finished", "git_commit", "threads")},
        **_progress(read),
        "last_written": _last_written(run.folder),
        "chosen_checkpoint": read.record.get("checkpoint"),
        "config": dict(read.config),
        **inside,
        "scores": dict(read.metrics),
        "evaluations": {name: evaluation["scores"] for name, evaluation in read.evaluations.items()},
        "versions": dict(read.record.get("versions") or {}),
        "installed": installed_otherwise(read.record.get("versions") or {}),
        "files": files,
        "bytes": sum(entry["bytes"] for entry in files),
        "problems": problems,
    }


def _progress(read: RunFolder) -> Facts:
    """How far training got. A run that is not done has no time an epoch in its record, but in its history."""
    seconds = [row["train/seconds_per_epoch"] for row in read.epochs if "train/seconds_per_epoch" in row]
    known = read.record.get("seconds_per_epoch")
    return {
        "epochs": len(read.epochs),
        "max_epochs": (read.config.get("trainer") or {}).get("max_epochs"),
        "seconds_per_epoch": known if known is not None or not seconds else statistics.median(seconds),
    }


def installed_otherwise(versions: Mapping[str, str]) -> dict[str, str | None]:
    """Package → what of it is installed here, where that is not what the run was trained with; None for nothing."""
    here = {name: platform.python_version() if name == "python" else _installed(name) for name in versions}
    return {name: found for name, found in here.items() if found != versions[name]}


def files_of(folder: Path) -> list[Facts]:
    """What lies in a folder: ``name``, ``bytes`` and number of ``files``, which is 1 for what is no folder."""
    entries = []
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        sizes = [file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]
        name = f"{path.name}/" if path.is_dir() else path.name
        entries.append({"name": name, "bytes": sum(sizes), "files": len(sizes)})
    return entries


def _last_written(folder: Path) -> str:
    """When anything in the folder was: of a run that says it is running, whether it still is."""
    latest = max(path.stat().st_mtime for path in folder.iterdir() if path.is_file())
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(latest))


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _inside(run: Run, trust: str | Sequence[str], problems: list[str]) -> Facts:
    """The epochs of the checkpoints, and parameters and layers of the model that the run stands for."""
    checkpoints = {}
    for which in CHECKPOINTS:
        path = run.folder / f"{which}.ckpt"
        if path.is_file():
            try:
                checkpoints[which] = read_checkpoint(path)
            except ValueError as error:
                problems.append(str(error))
    epochs = {which: checkpoint.get("epoch") for which, checkpoint in checkpoints.items()}
    try:
        model = _model(next(iter(checkpoints.values())), trust) if checkpoints else {}
    except ValueError as error:
        problems.append(str(error))
        model = {}
    return {"checkpoints": epochs, **model}


def _model(checkpoint: Mapping[str, Any], trust: str | Sequence[str]) -> Facts:
    from vae_hydra.anatomy import layers, parameter_counts
    from vae_hydra.build import rebuild

    module = rebuild(checkpoint, trust)
    counts = parameter_counts(module.vae)
    return {
        "example_shape": list(module.vae.x_shape),
        "latents": module.vae.latent_dim,
        "parameters": {"total": sum(counts.values()), **counts},
        "layers": [layer._asdict() for layer in layers(module)],
    }
