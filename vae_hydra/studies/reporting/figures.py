"""The report's figures: means, curves over β, the matrix of denoising, and examples of all samplers side by side."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import NamedTuple

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from vae_hydra.drawing import plots
from vae_hydra.drawing.plots.axes import log_ticks
from vae_hydra.drawing.plots.charts import Point
from vae_hydra.drawing.plots.series import Style, style
from vae_hydra.studies.reporting.cells import FIRST, by_name
from vae_hydra.studies.reporting.compared import Compared
from vae_hydra.studies.reporting.measures import axis_label, title
from vae_hydra.studies.reporting.pivots import Pivot, labels_in_order

BETA = "beta.value"
SAMPLERS = [name for name in FIRST if name not in ("none", "uniform")]


class Drawn(NamedTuple):
    """A figure that is drawn where it is needed, which may be another process.

    Attributes:
        name: of its file.
        caption: its caption.
        draw: makes the figure.
    """

    name: str
    caption: str
    draw: Callable[[], Figure]

    @property
    def figure(self) -> Figure:
        """The figure, drawn anew."""
        with without_math():
            figure = self.draw()
        _use_plain_ticks(figure)
        return figure


def without_math() -> AbstractContextManager[None]:
    """A context in which matplotlib reads no text between dollar signs as a formula: names may have dollar signs."""
    return rc_context({"text.parse_math": False})


def _use_plain_ticks(figure: Figure) -> None:
    """Label logarithmic axes with plain numbers, as their powers of ten are formulas too."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if axis.get_scale() == "log":
                log_ticks(axis, *axis.get_view_interval())
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("e+0", "e")))


def styles(frame: pd.DataFrame) -> dict[str, Style]:
    """Sampler label → its style: each sampler has one colour in all figures, shared by its variants."""
    labelled = frame.dropna(subset=["sampler_label"])
    others = sorted(set(labelled["sampler"]) - set(SAMPLERS))
    numbers = {name: i for i, name in enumerate([*SAMPLERS, *others])}
    variants = labelled.groupby("sampler", sort=False)["sampler_label"].unique()
    return {label: style(numbers[name], i) for name, labels in variants.items() for i, label in enumerate(labels)}


def entries(options: str) -> list[str]:
    """The options of a row one by one; a comma within brackets is part of a value.

    >>> entries("beta=0.1, widths=[64, 32]")
    ['beta=0.1', 'widths=[64, 32]']
    """
    found, depth = [""], 0
    for part in re.split(r"(, |[\[\]{}])", options):
        depth += (part in ("[", "{")) - (part in ("]", "}"))
        if part == ", " and not depth:
            found.append("")
        else:
            found[-1] += part
    return found


def means(pivot: Pivot, looks: Mapping[str, Style]) -> Drawn:
    """A metric's means with standard deviations: a panel a dataset, a group a row of the pivot, a line a sampler."""
    panels: dict[str, dict[str, dict[str, Point]]] = {}
    for row, column, cell in pivot:
        if cell.n:
            name = ", ".join([row.noise, *map(_short, filter(None, entries(row.options)))])
            panels.setdefault(row.dataset, {}).setdefault(name, {})[column] = Point(cell.mean, cell.spread)
    shown = {column: looks[column] for column in pivot.columns}
    draw = partial(plots.means, panels, shown, axis_label(pivot.metric))
    text = f"{title(pivot.metric)}, by noise of training; lines are one standard deviation each way."
    return Drawn(f"means-{file_name(pivot.metric)}", text, draw)


def beta_curves(frame: pd.DataFrame, pivots: Sequence[Pivot], looks: Mapping[str, Style]) -> Iterator[Drawn]:
    """Each metric against β, in a panel for each combination of the other options; nothing unless β varies."""
    if BETA not in frame.columns:
        return
    for pivot in pivots:
        panels: dict[str, dict[str, dict[float, Point]]] = {}
        for row, column, cell in pivot:
            settings = dict(entry.partition("=")[::2] for entry in entries(row.options))
            beta = pd.to_numeric(settings.pop(BETA, None), errors="coerce")
            if cell.n and pd.notna(beta):
                rest = [f"{key}={value}" for key, value in settings.items()]
                panel = ", ".join([f"{row.dataset}, noise {row.noise}", *rest])
                panels.setdefault(panel, {}).setdefault(column, {})[float(beta)] = Point(cell.mean, cell.spread)
        panels = {name: series for name, series in panels.items() if len({x for p in series.values() for x in p}) > 1}
        if panels:
            draw = partial(plots.curves, panels, looks, ("β", axis_label(pivot.metric)))
            text = f"{title(pivot.metric)}, against β; lines are one standard deviation each way."
            yield Drawn(f"beta-{file_name(pivot.metric)}", text, draw)


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
        scores = [f"{protocol}/{measure}" for protocol in columns]
        means = runs.groupby(["sampler_label", "noise_label"])[scores].mean()
        maps = {sampler: means.loc[sampler].reindex(rows).to_numpy() for sampler in labels_in_order(runs)}
        names = ["clean", *(p.removeprefix("denoise/") for p in columns[1:])]
        titles = ("noise of training", "noise of testing")
        draw = partial(plots.heat_maps, maps, rows, names, axis_label(measure), titles)
        subject = ", ".join(filter(None, [dataset, settings]))
        text = f"{title(measure).partition(' (')[0]} on {subject}: means by noise of training and noise of testing."
        yield Drawn(f"denoising-{file_name(subject)}", text, draw)


def examples(comparisons: Iterable[Compared]) -> Iterator[Drawn]:
    """The reconstructions of the same examples by every sampler, for each dataset, noise and other options."""
    for one in comparisons:
        text = f"the same test examples reconstructed by each sampler (seed {one.seed}, one draw of z each)."
        draw = partial(_images if one.are_images else clouds, one)
        yield Drawn(f"examples-{file_name(one.subject)}", f"{one.subject}: {text}", draw)


def _images(one: Compared) -> Figure:
    return plots.image_columns(one.blocks, one.limits, own_limits=[("noisy input", "input")])


def clouds(one: Compared) -> Figure:
    """Points and their reconstructions by every sampler: from noisy input, where the runs have it."""
    blocks = one.blocks
    original = {"original": blocks["clean input"]["original"]}
    noisy = {("noisy input" if name == "input" else name): x for name, x in blocks.get("noisy input", {}).items()}
    return plots.point_clouds(original | (noisy or blocks["clean input"]))


def _short(option: str) -> str:
    """An option with the last two parts of its path alone, for an axis."""
    path, _, value = option.partition("=")
    return f"{'.'.join(path.split('.')[-2:])}={value}"


def file_name(text: str) -> str:
    """``text`` as part of a file's name."""
    return "-".join("".join(c if c.isalnum() or c in "._" else " " for c in text).split())[:120]
