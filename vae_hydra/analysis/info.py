"""The body of ``python -m vae_hydra.info``: the facts of a run's folder, as JSON or as text."""

from __future__ import annotations

import json
import math
import platform
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from vae_hydra.base import checks
from vae_hydra.base.command.process import prepare_torch
from vae_hydra.runs.folder import CHECKPOINTS, Run
from vae_hydra.runs.reading import RunFolder, read_run
from vae_hydra.runs.score_table import NOTE, aligned, table
from vae_hydra.training.history import median_seconds

WIDTH = 100
LABEL_WIDTH = 14
# The text shows only these scores of an evaluation; its file has all.
BRIEF = ("half_sse", "elbo", "nll", "mmd", "fid", "linear_accuracy")
Facts = dict[str, Any]


def info(config: Mapping[str, Any]) -> str:
    """Facts of a run, as text or as JSON.

    Args:
        config: resolved configuration, as composed from ``conf/info.yaml``.

    Raises:
        ValueError: if ``run`` is no run. Damaged and missing files do not raise; they are listed as problems.
    """
    as_json, with_layers, with_config = (checks.boolean(key, config[key]) for key in ("json", "layers", "config"))
    run = Run.open(config["run"])
    if with_layers:
        prepare_torch(None)
    facts = facts_of(run, config["trust"], with_layers)
    if as_json:
        return json.dumps(_finite(facts), indent=2, ensure_ascii=False)
    return overview(facts, with_config)


def _finite(value: Any) -> Any:
    """``value`` with None for infinities and NaN, which JSON lacks."""
    if isinstance(value, dict):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def facts_of(run: Run, trust: str | Sequence[str] = (), open_checkpoints: bool = True) -> Facts:
    """All facts of a run's folder, as JSON types; damaged files are listed under ``problems``.

    Args:
        run: a run of any status; its data are not needed.
        trust: packages besides vae_hydra's and torch's own that its configuration may name.
        open_checkpoints: whether to add the checkpoints' epochs, parameters and layers, for which torch is imported.
    """
    read = read_run(run.folder)
    files = files_of(run.folder)
    problems = [*([read.problem] if read.problem else []), *read.remarks]
    from_checkpoints = _checkpoint_facts(run, trust, problems) if open_checkpoints else {}
    return {
        "run": run.name,
        "folder": str(run.folder.resolve()),
        "status": read.status,
        **{key: read.record.get(key) for key in ("error", "started", "finished", "git_commit", "threads")},
        **_progress(read),
        "last_written": _last_written(run.folder),
        "chosen_checkpoint": read.record.get("checkpoint"),
        "config": dict(read.config),
        **from_checkpoints,
        "scores": dict(read.metrics),
        "evaluations": {name: evaluation["scores"] for name, evaluation in read.evaluations.items()},
        "versions": dict(read.record.get("versions") or {}),
        "installed": installed_otherwise(read.record.get("versions") or {}),
        "files": files,
        "bytes": sum(entry["bytes"] for entry in files),
        "problems": problems,
    }


def _progress(read: RunFolder) -> Facts:
    """Epochs and seconds per epoch; the record of an unfinished run lacks the latter, so its history gives them."""
    recorded = read.record.get("seconds_per_epoch")
    return {
        "epochs": len(read.epochs),
        "max_epochs": (read.config.get("trainer") or {}).get("max_epochs"),
        "seconds_per_epoch": median_seconds(read.epochs) if recorded is None else recorded,
    }


def installed_otherwise(versions: Mapping[str, str]) -> dict[str, str | None]:
    """Packages whose installed version differs from ``versions`` → that version; None if not installed."""
    here = {name: platform.python_version() if name == "python" else _installed(name) for name in versions}
    return {name: number for name, number in here.items() if number != versions[name]}


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def files_of(folder: Path) -> list[Facts]:
    """Entries of a folder: ``name``, ``bytes`` and the number of ``files``, which is 1 for a file."""
    entries = []
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        sizes = [file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]
        name = f"{path.name}/" if path.is_dir() else path.name
        entries.append({"name": name, "bytes": sum(sizes), "files": len(sizes)})
    return entries


def _last_written(folder: Path) -> str:
    """Time of the latest change of a file, which shows whether a run with the status running still is."""
    latest = max(path.stat().st_mtime for path in folder.iterdir() if path.is_file())
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(latest))


def _checkpoint_facts(run: Run, trust: str | Sequence[str], problems: list[str]) -> Facts:
    """Epochs of the checkpoints, and facts of the model in the first of them; errors are added to ``problems``."""
    # Imported here so that layers=false does not wait for torch.
    from vae_hydra.runs.checkpoint import read_checkpoint

    checkpoints = {}
    for name in CHECKPOINTS:
        path = run.folder / f"{name}.ckpt"
        if path.is_file():
            try:
                checkpoints[name] = read_checkpoint(path)
            except ValueError as error:
                problems.append(str(error))
    epochs = {name: checkpoint.get("epoch") for name, checkpoint in checkpoints.items()}
    try:
        model = _model_facts(next(iter(checkpoints.values())), trust) if checkpoints else {}
    except ValueError as error:
        problems.append(str(error))
        model = {}
    return {"checkpoints": epochs, **model}


def _model_facts(checkpoint: Mapping[str, Any], trust: str | Sequence[str]) -> Facts:
    # Imported here so that layers=false does not wait for torch.
    from vae_hydra.runs.anatomy import layers, parameter_counts
    from vae_hydra.runs.checkpoint import rebuild

    module = rebuild(checkpoint, trust)
    counts = parameter_counts(module.vae)
    return {
        "example_shape": list(module.vae.x_shape),
        "latents": module.vae.latent_dim,
        "parameters": {"total": sum(counts.values()), **counts},
        "layers": [layer._asdict() for layer in layers(module)],
    }


def overview(facts: Facts, with_config: bool = True) -> str:
    """Facts as text: configuration, layers, scores, evaluations, files, and last a summary of the run."""
    sections = {
        "configuration": _yaml(facts["config"]) if with_config and facts["config"] else "",
        "layers (shapes of one example)": _layers(facts.get("layers") or []),
        "test scores": _scores(facts["scores"]) if facts["scores"] else "",
        "evaluations": _evaluations(facts["evaluations"]),
        "files": _files(facts),
        facts["run"]: "\n".join(_wrapped(*line) for line in _summary(facts)),
    }
    return "\n\n".join(f"== {heading}\n{text}" for heading, text in sections.items() if text)


def _yaml(config: Mapping[str, Any]) -> str:
    # default_flow_style=None puts a group without further groups on one line.
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=WIDTH, default_flow_style=None).rstrip()


def _layers(layers: Sequence[Mapping[str, Any]]) -> str:
    rows = [["layer", "kind", "parameters", "in", "out"]]
    for layer in layers:
        shapes = (_shape(layer["shape_in"]), _shape(layer["shape_out"]))
        rows.append([layer["name"], layer["kind"], f"{layer['parameters']:,}", *shapes])
    return "\n".join(aligned(rows)) if layers else ""


def _shape(shape: Any) -> str:
    """A shape [1, C, H, W] of a batch of one as C×H×W."""
    return "×".join(map(str, shape[1:])) if isinstance(shape, list) and shape else str(shape)


def _scores(scores: Mapping[str, float]) -> str:
    return table(scores, ".4g").replace(NOTE, textwrap.fill(NOTE, WIDTH))


def _evaluations(evaluations: Mapping[str, Mapping[str, float]]) -> str:
    lines = []
    for name, scores in evaluations.items():
        shown = [f"{key} {value:.4g}" for key, value in scores.items() if key.rpartition("/")[2] in BRIEF]
        lines.append(textwrap.fill("  ".join([name, *shown]), WIDTH, subsequent_indent="    ", break_long_words=False))
    return "\n".join(lines)


def _files(facts: Facts) -> str:
    entries = facts["files"]
    rows = [[e["name"], _size(e["bytes"]), f"{e['files']} files" if e["name"].endswith("/") else ""] for e in entries]
    return "\n".join(line.rstrip() for line in aligned([*rows, ["in all", _size(facts["bytes"]), ""]]))


def _size(number: float) -> str:
    """Bytes in the unit that leaves one to three digits before the point."""
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} GB"


def _summary(facts: Facts) -> Iterator[tuple[str, str]]:
    """Lines of (label, text); unknown facts have none."""
    yield "folder", facts["folder"]
    yield "status", facts["status"]
    if facts["error"]:
        yield "error", facts["error"]
    if facts["started"]:
        yield "started", facts["started"] + (f", finished {facts['finished']}" if facts["finished"] else "")
    if facts["status"] != "done":
        yield "last written", facts["last_written"]
    yield "epochs", _epochs(facts)
    if facts.get("checkpoints"):
        chosen = facts["chosen_checkpoint"]
        saved = [f"{name}.ckpt of epoch {epoch}" for name, epoch in facts["checkpoints"].items()]
        yield "checkpoints", ", ".join(saved) + " (from 0)" + (f"; scored: {chosen}" if chosen else "")
    if "parameters" in facts:
        parts = dict(facts["parameters"])
        total = parts.pop("total")
        yield "parameters", f"{total:,}: " + ", ".join(f"{name} {count:,}" for name, count in parts.items())
        yield "shapes", f"x {_shape([1, *facts['example_shape']])}, z {facts['latents']}"
    if facts["versions"]:
        yield "trained with", ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    if facts["installed"]:
        here = (f"{name} {number or 'not installed'}" for name, number in facts["installed"].items())
        yield "but here", ", ".join(here)
    if facts["git_commit"]:
        yield "commit", facts["git_commit"]
    for problem in facts["problems"]:
        yield "problem", problem


def _epochs(facts: Facts) -> str:
    planned = f" of {facts['max_epochs']}" if facts["max_epochs"] else ""
    seconds = facts["seconds_per_epoch"]
    return f"{facts['epochs']}{planned}" + (f", {seconds:.3g} s each" if seconds is not None else "")


def _wrapped(label: str, text: str) -> str:
    indent = " " * LABEL_WIDTH
    return textwrap.fill(f"{label:<{LABEL_WIDTH}}{text}", WIDTH, subsequent_indent=indent, break_long_words=False)
