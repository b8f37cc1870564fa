"""The report's figures: bars, curves over β, the matrix of denoising, and examples of all samplers side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from vae_hydra.drawing import plots
from vae_hydra.drawing.plots.charts import Point
from vae_hydra.drawing.plots.series import Style, style
from vae_hydra.runs.examples import load_examples
from vae_hydra.studies.reporting.cells import FIRST, by_name
from vae_hydra.studies.reporting.measures import axis_label, title
from vae_hydra.studies.reporting.pivots import Pivot

BETA = "beta.value"
SAMPLERS = [name for name in FIRST if name not in ("none", "uniform")]


class Drawn(NamedTuple):
    """A figure with the name of its file and its caption."""

    name: str
    caption: str
    figure: Figure


def styles(frame: pd.DataFrame) -> dict[str, Style]:
    """Sampler label → its style: each sampler has one colour in all figures, shared by its variants."""
    labelled = frame.dropna(subset=["sampler_label"])
    others = sorted(set(labelled["sampler"]) - set(SAMPLERS))
    numbers = {name: i for i, name in enumerate([*SAMPLERS, *others])}
    variants = labelled.groupby("sampler", sort=False)["sampler_label"].unique()
    return {label: style(numbers[name], i) for name, labels in variants.items() for i, label in enumerate(labels)}


def bars(pivot: Pivot, looks: Mapping[str, Style]) -> Drawn:
    """Bars of a metric's means, with standard deviations: a panel a dataset, a group a row of the pivot."""
    panels: dict[str, dict[str, dict[str, Point]]] = {}
    for row, column, cell in pivot:
        if cell.n:
            name = "\n".join([row.noise, *map(_short, filter(None, row.options.split(", ")))])
            panels.setdefault(row.dataset, {}).setdefault(name, {})[column] = Point(cell.mean, cell.spread)
    shown = {column: looks[column] for column in pivot.columns}
    figure = plots.bars(panels, shown, axis_label(pivot.metric))
    text = f"{title(pivot.metric)}, by noise of training; lines are one standard deviation each way."
    return Drawn(f"bars-{file_name(pivot.metric)}", text, figure)


def beta_curves(frame: pd.DataFrame, pivots: Sequence[Pivot], looks: Mapping[str, Style]) -> Iterator[Drawn]:
    """Each metric against β, in a panel for each combination of the other options; nothing unless β varies."""
    if BETA not in frame.columns:
        return
    for pivot in pivots:
        panels: dict[str, dict[str, dict[float, Point]]] = {}
        for row, column, cell in pivot:
            settings = dict(entry.partition("=")[::2] for entry in row.options.split(", "))
            beta = pd.to_numeric(settings.pop(BETA, None), errors="coerce")
            if cell.n and pd.notna(beta):
                rest = [f"{key}={value}" for key, value in settings.items()]
                panel = ", ".join([f"{row.dataset}, noise {row.noise}", *rest])
                panels.setdefault(panel, {}).setdefault(column, {})[float(beta)] = Point(cell.mean, cell.spread)
        panels = {name: series for name, series in panels.items() if len({x for p in series.values() for x in p}) > 1}
        if panels:
            figure = plots.curves(panels, looks, ("β", axis_label(pivot.metric)))
            text = f"{title(pivot.metric)}, against β; lines are one standard deviation each way."
            yield Drawn(f"beta-{file_name(pivot.metric)}", text, figure)


def denoising(frame: pd.DataFrame, measure: str = "half_sse") -> Iterator[Drawn]:
    """Noise of training × noise of testing, a figure a dataset, a map a sampler; nothing for a single noise."""
    noises = {column.split("/")[1] for column in frame.columns if column.startswith("denoise/")}
    tested = ["reconstruct/clean", *(f"denoise/{noise}" for noise in sorted(noises, key=by_name))]
    done = frame[frame["status"] == "done"].dropna(subset=["sampler_label", "noise_label", "options"])
    for (dataset, settings), runs in done.groupby(["dataset", "options"], sort=False):
        columns = [p for p in tested if runs.get(f"{p}/{measure}", pd.Series(dtype=float)).notna().any()]
        rows = list(dict.fromkeys(runs["noise_label"]))
        if len(columns) < 2 or len(rows) < 2:
            continue
        maps = {
            sampler: group.groupby("noise_label")[[f"{p}/{measure}" for p in columns]].mean().reindex(rows).to_numpy()
            for sampler, group in runs.groupby("sampler_label", sort=False)
        }
        names = ["clean", *(p.removeprefix("denoise/") for p in columns[1:])]
        figure = plots.heat_maps(maps, rows, names, axis_label(measure), ("noise of training", "noise of testing"))
        subject = ", ".join(filter(None, [dataset, settings]))
        text = f"{title(measure).partition(' (')[0]} on {subject}: means by noise of training and noise of testing."
        yield Drawn(f"denoising-{file_name(subject)}", text, figure)


def examples(frame: pd.DataFrame) -> Iterator[Drawn]:
    """The reconstructions of the same examples by every sampler, for each dataset, noise and other options."""
    placed = frame.dropna(subset=["sampler_label", "noise_label", "options", "folder"])
    placed = placed[placed["status"] == "done"]
    for (dataset, noise, settings), runs in placed.groupby(["dataset", "noise_label", "options"], sort=False):
        shown = _of_one_replicate(runs)
        if not shown:
            continue
        seed, arrays = shown
        subject = ", ".join(filter(None, [dataset, f"noise {noise}", settings]))
        are_images = next(iter(arrays.values()))["original"].ndim == 4
        figure = _images(arrays) if are_images else _clouds(arrays)
        text = f"{subject}: the same test examples reconstructed by each sampler (seed {seed}, one draw of z each)."
        yield Drawn(f"examples-{file_name(subject)}", text, figure)


def _of_one_replicate(runs: pd.DataFrame) -> tuple[int, dict[str, dict[str, Any]]] | None:
    """The seed for which the most samplers have examples of the same inputs, and those examples by sampler."""
    found: dict[tuple[int, Any], dict[str, dict[str, Any]]] = {}
    for _, run in runs.iterrows():
        arrays = load_examples(Path(run["folder"]))
        if arrays:
            inputs = (arrays["original"].tobytes(), arrays.get("noisy", arrays["original"]).tobytes())
            fold = None if pd.isna(run["fold"]) else int(run["fold"])
            group = found.setdefault((int(run["seed"]), (fold, *inputs)), {})
            group[run["sampler_label"]] = arrays
    if not found:
        return None
    (seed, _), arrays = max(found.items(), key=lambda item: (len(item[1]), -item[0][0]))
    return seed, arrays


def _images(arrays: Mapping[str, Mapping[str, Any]]) -> Figure:
    first = next(iter(arrays.values()))
    original = first["original"]
    blocks = {"clean input": {"original": original, **{name: a["reconstruction"] for name, a in arrays.items()}}}
    if "noisy" in first:
        blocks["noisy input"] = {"input": first["noisy"], **{name: a["denoised"] for name, a in arrays.items()}}
    limits = float(original.min()), float(original.max())
    return plots.image_columns(blocks, limits, own_limits=[("noisy input", "input")])


def _clouds(arrays: Mapping[str, Mapping[str, Any]]) -> Figure:
    first = next(iter(arrays.values()))
    part, noisy = ("denoised", {"noisy input": first["noisy"]}) if "noisy" in first else ("reconstruction", {})
    panels = {"original": first["original"], **noisy, **{name: a[part] for name, a in arrays.items()}}
    return plots.point_clouds(panels)


def _short(option: str) -> str:
    """An option with the last two parts of its path alone, for an axis."""
    path, _, value = option.partition("=")
    return f"{'.'.join(path.split('.')[-2:])}={value}"


def file_name(text: str) -> str:
    """``text`` as part of a file's name."""
    return "-".join("".join(c if c.isalnum() or c in "._" else " " for c in text).split())[:120]
