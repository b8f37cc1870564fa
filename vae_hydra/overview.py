"""The facts of a run as text for a terminal of 100 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from vae_hydra.facts import Facts
from vae_hydra.scores import NOTE, aligned, table

WIDTH = 100
# Scores of an evaluation that fit beside its name; the file has them all.
BRIEF = ("half_sse", "elbo", "nll", "mmd", "fid", "linear_accuracy")


def overview(facts: Facts, with_config: bool = True) -> str:
    """Sections under headings: configuration, layers, scores, evaluations, files, and last what the run is."""
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
    # What holds no further groups stands on one line where it fits.
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=WIDTH, default_flow_style=None).rstrip()


def _layers(layers: Sequence[Mapping[str, Any]]) -> str:
    rows = [["layer", "kind", "parameters", "in", "out"]]
    for layer in layers:
        shapes = (_shape(layer["shape_in"]), _shape(layer["shape_out"]))
        rows.append([layer["name"], layer["kind"], f"{layer['parameters']:,}", *shapes])
    return "\n".join(aligned(rows)) if layers else ""


def _shape(shape: Any) -> str:
    return "×".join(map(str, shape[1:])) if isinstance(shape, list) and shape else str(shape)


def _scores(scores: Mapping[str, float]) -> str:
    return table(scores, ".4g").replace(NOTE, textwrap.fill(NOTE, WIDTH))


def _evaluations(evaluations: Mapping[str, Mapping[str, float]]) -> str:
    lines = []
    for name, scores in evaluations.items():
        few = [f"{key} {value:.4g}" for key, value in scores.items() if key.rpartition("/")[2] in BRIEF]
        lines.append(textwrap.fill("  ".join([name, *few]), WIDTH, subsequent_indent="    ", break_long_words=False))
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
    """(what, in words), a line each; nothing of what is not known."""
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
        found = [f"{which}.ckpt of epoch {epoch}" for which, epoch in facts["checkpoints"].items()]
        yield "checkpoints", ", ".join(found) + " (from 0)" + (f"; scored: {chosen}" if chosen else "")
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
    of = f" of {facts['max_epochs']}" if facts["max_epochs"] else ""
    seconds = facts["seconds_per_epoch"]
    return f"{facts['epochs']}{of}" + (f", {seconds:.3g} s each" if seconds is not None else "")


def _wrapped(what: str, said: str) -> str:
    indent = " " * 14
    return textwrap.fill(f"{what:<14}{said}", WIDTH, subsequent_indent=indent, break_long_words=False)
