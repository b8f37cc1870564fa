"""Run folders → one table with a row a run, also for planned runs that are missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from vae_hydra.base import bounded
from vae_hydra.runs.reading import CONTENT, RunFolder, read_run
from vae_hydra.studies.reporting.cells import GROUPS, Places, by_name, grouped, in_order, plain
from vae_hydra.studies.reporting.folders import find, without_duplicates
from vae_hydra.studies.reporting.noise_names import noise_names, own_noise
from vae_hydra.studies.reporting.options import Difference, with_roles
from vae_hydra.studies.reporting.plans import PlannedRun, absent, missing_row, options_of_name, readable_plans
from vae_hydra.studies.reporting.scores import Scores, named_scores

CLEAN = "reconstruct/clean/"
# The columns of a run that has no place in a pivot.
SET_ASIDE = (*GROUPS, "seed", "fold")
# Doubles are exact for whole numbers up to here.
LARGEST_COUNT = 2**53
LEADING = [
    *("run", "dataset", "noise", "sampler", "latent_dim", "encoder_layers", "decoder_layers", "epochs"),
    *("learning_rate", "batch_size", "kl", "seconds_per_epoch", "final_loss", "half_sse", "seed", "fold", "beta"),
    *("status", "error", "started", "finished", "stacked", "tags"),
    *("noise_label", "sampler_label", "options", "own_noise", "confounders"),
]


@dataclass(frozen=True)
class Results:
    """The contents of folders of runs.

    Attributes:
        frame: a row a run, see ``results``.
        keys: dotted paths of the options beyond dataset, noise and sampler that divide the cells of a pivot.
        differences: options that follow from dataset, noise, sampler or keys.
        duplicates: pairs (run left out, run of the same configuration that is kept).
        runs: the runs as they were read.
        planned: the cells of plans without a run.
    """

    frame: pd.DataFrame
    keys: list[str]
    differences: list[Difference]
    duplicates: list[tuple[Path, Path]]
    runs: list[RunFolder]
    planned: list[PlannedRun]


def results(folders: Iterable[str | Path]) -> pd.DataFrame:
    """A table of the runs under ``folders``, a row a run: its options, its course and every score.

    Columns: run, dataset, noise, sampler, latent_dim, encoder_layers, decoder_layers, epochs, learning_rate,
    batch_size, kl and half_sse of clean test input, seconds_per_epoch, final_loss, seed, fold, beta, status (done,
    running, failed, interrupted, pruned, damaged, partial, outdated, missing), error, started, finished; stacked, the
    number of runs that were trained as one; tags; noise_label, sampler_label and options, which name the run's cell of
    a pivot; own_noise, the name of its noise of training in the scores; confounders, the options in sampler_label that
    are no part of the sampler; the options that differ, by dotted path; folder; the scores, by names with a slash.
    Copies of a run have one row. A partial or outdated run is not comparable with others: it has no scores here, and
    no cell.

    Raises:
        ValueError: if there are neither runs nor plans of sweeps.
    """
    return collect(folders).frame


def collect(folders: Iterable[str | Path], with_debug: bool = False) -> Results:
    """``results``, with the differences between runs, the duplicates and the missing runs.

    Args:
        folders: of runs.
        with_debug: whether to take runs of ``debug=…`` as well, which otherwise are left out.

    Raises:
        ValueError: for a folder that does not exist, or if there are neither runs nor plans of sweeps.
    """
    paths = [_existing(folder) for folder in folders]
    if not paths:
        raise ValueError("no folder was given; name those that hold runs: python -m vae_hydra.report outputs")
    found, plans = find(paths)
    if not found and not plans:
        raise ValueError(f"there are no runs under {', '.join(map(str, paths))}: no folder there has a run.json")
    read = [run for run in map(read_run, found) if with_debug or not run.config.get("debug")]
    runs, duplicates = without_duplicates(read)
    runs = _with_contents_that_differ(runs)
    cells = absent(readable_plans(plans), {path.resolve().name for path in found})
    cells = [(cell, plan) for cell, plan in cells if with_debug or not (cell.options or {}).get("debug")]
    if found and not runs and not cells:
        raise ValueError(f"all runs under {', '.join(map(str, paths))} are of debug=…, which stand in no report")
    placed = [run.leaves for run in runs if run.leaves and not run.is_set_aside]
    places = Places([*placed, *(cell.options for cell, _ in cells if cell.options)])
    noises = noise_names(_with_copies(runs))
    scores = named_scores(runs, noises)
    rows = [{**_row(run, places, scores[run.path]), "own_noise": own_noise(run, noises)} for run in runs]
    named = {run.path.resolve().name: run for run in runs}
    rows += [missing_row(cell, plan, named, places) for cell, plan in cells]
    frame = _ordered(pd.DataFrame(rows), places.keys)
    planned = [cell for cell, _ in cells]
    return Results(frame, places.keys, places.compared.differences(), duplicates, runs, planned)


def _with_contents_that_differ(runs: Sequence[RunFolder]) -> list[RunFolder]:
    """The runs, told apart by the content of their file only where files of one place had several."""
    known: dict[Any, set[Any]] = {}
    for run in runs:
        if CONTENT in run.leaves:
            known.setdefault(run.leaves.get("dataset.path"), set()).add(run.leaves[CONTENT])
    return [
        run
        if len(known.get(run.leaves.get("dataset.path"), ())) > 1
        else replace(run, leaves={path: value for path, value in run.leaves.items() if path != CONTENT})
        for run in runs
    ]


def _with_copies(runs: Iterable[RunFolder]) -> list[RunFolder]:
    return [each for run in runs for each in (run, *run.copies)]


def _existing(folder: str | Path) -> Path:
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise ValueError(f"folders: {folder} is not a folder; give one that holds runs, or a run's own")
    return path


def _row(run: RunFolder, places: Places, scores: Scores) -> dict[str, Any]:
    record, config = run.record, run.config
    last = run.epochs[-1] if run.epochs else {}
    name = bounded.readable(run.path.resolve().name)
    place = places.columns(with_roles(run.leaves, places.paths) if run.leaves else options_of_name(name))
    return {
        "run": name,
        **({part: place.get(part) for part in SET_ASIDE} if run.is_set_aside else place),
        "latent_dim": _at(config, "model", "latent_dim"),
        "encoder_layers": _layers(_at(config, "model", "encoder"), is_encoder=True),
        "decoder_layers": _layers(_at(config, "model", "decoder"), is_encoder=False),
        "epochs": len(run.epochs) or None,
        "learning_rate": _at(config, "optimizer", "lr"),
        "batch_size": _at(config, "dataset", "batch_size"),
        "kl": scores.get(f"{CLEAN}kl"),
        "seconds_per_epoch": record.get("seconds_per_epoch"),
        "final_loss": last.get("train/loss"),
        "half_sse": scores.get(f"{CLEAN}half_sse"),
        "beta": _at(config, "beta", "value", default=_at(config, "beta", "end")),
        "status": run.status,
        "error": "; ".join([str(e) for e in (run.reason, record.get("error")) if e] + list(run.remarks)) or None,
        "started": record.get("started"),
        "finished": record.get("finished"),
        "stacked": record.get("stacked"),
        "tags": bounded.readable(", ".join(map(str, record.get("tags") or []))) or None,
        "folder": bounded.readable(str(run.path)),
        **scores,
    }


def _at(node: Any, *path: str, default: Any = None) -> Any:
    for key in path:
        node = node.get(key) if isinstance(node, Mapping) else None
    return default if node is None else plain(node) if not isinstance(node, Mapping) else node


def _layers(network: Any, is_encoder: bool) -> int | None:
    """Number of layers with weights: those of an MLP, or the convolutions and their linear layer."""
    if not isinstance(network, Mapping):
        return None
    if isinstance(network.get("widths"), list):
        return len(network["widths"]) + 1
    if isinstance(network.get("depth"), int):
        return network["depth"]
    if isinstance(network.get("layers"), int):
        return network["layers"] + 1
    if not isinstance(network.get("channels"), list) or not isinstance(network.get("residual_blocks", 0), int):
        return None
    count = len(network["channels"])
    # A block has two convolutions; a decoder has no blocks after its last layer.
    blocks = network.get("residual_blocks", 0)
    return count + 1 + 2 * blocks * (count if is_encoder else count - 1)


def _ordered(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """The frame with its columns in the documented order, and rows by dataset, noise, options, sampler, seed, fold."""
    leading = [*LEADING, *keys, "folder"]
    frame = frame.reindex(columns=[*leading, *sorted(set(frame.columns) - set(leading))])
    ranks = [_rank(row, keys) for row in frame[leading].to_dict("records")]
    order = sorted(range(len(frame)), key=ranks.__getitem__)
    return _with_counts(frame.iloc[order].reset_index(drop=True))


def _with_counts(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with counts as integers, also in columns with missing values."""
    for name in ("latent_dim", "encoder_layers", "decoder_layers", "epochs", "batch_size", "seed", "fold"):
        numbers = pd.to_numeric(frame[name], errors="coerce").astype(float)
        are_whole = ((numbers % 1 == 0) & (numbers.abs() < LARGEST_COUNT))[numbers.notna()].all()
        if numbers.notna().equals(frame[name].notna()) and are_whole:
            frame[name] = numbers.astype("Int64")
    return frame


def _rank(row: Any, keys: Sequence[str]) -> tuple[Any, ...]:
    noise_keys, sampler_keys, others = grouped(keys)

    def by(names: Sequence[str]) -> list[Any]:
        return [in_order(row[name]) for name in names]

    named = [by(["dataset"]), [by_name(row["noise"]), *by(noise_keys)], by(others)]
    return (*named, [by_name(row["sampler"]), *by(sampler_keys)], by(["seed", "fold", "run"]))
