"""The runs that a page may open: one, two, or all finished ones of a folder, with a table to choose from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from vae_hydra.runs.reading import NAMED, RunFolder
from vae_hydra.runs.score_table import COLUMNS
from vae_hydra.runs.trained import TrainedModel
from vae_hydra.training.protocols import CLEAN

# Scores of the table, on clean input.
SCORES = ("half_sse", "kl", "elbo", "accuracy")
# Models that stay open.
MOST_OPEN = 8


@dataclass
class Catalogue:
    """The runs that a page may open.

    Attributes:
        open_model: the trained model of a run's folder.
        runs: all runs of a folder, as the table shows them; none for a page of one or two runs.
        chosen: folders of the runs that the page shows unless its address names others.
        models: those that are open, by the name of their run.
    """

    open_model: Callable[[Path], TrainedModel]
    runs: Sequence[RunFolder] = ()
    chosen: Sequence[Path] = ()
    models: dict[str, TrainedModel] = field(default_factory=dict)

    @property
    def folders(self) -> dict[str, Path]:
        """Name → folder of every run that may be opened."""
        finished = [run.path for run in self.runs if run.status == "done"]
        return {path.name: path for path in [*finished, *self.chosen]}

    def named(self, words: Mapping[str, Sequence[bytes]]) -> list[str]:
        """The names of the runs to show, from the words of the page's address; names of no run are left out."""
        asked = [words[key][0].decode(errors="replace") for key in ("run", "against") if words.get(key)]
        found = [name for name in dict.fromkeys(asked) if name in self.folders]
        return found or [path.name for path in self.chosen]

    def model(self, name: str) -> TrainedModel:
        """The model of a run by its name, opened once."""
        if name not in self.models:
            while len(self.models) >= MOST_OPEN:
                self.models.pop(next(iter(self.models)))
            self.models[name] = self.open_model(self.folders[name])
        return self.models[name]

    def table(self, shown: Sequence[str]) -> str:
        """A row for each run: options that differ between runs, scores, and links that open it; as HTML."""
        paths = varied([run.leaves for run in self.runs if not run.problem])
        scores = [name for name in SCORES if any(f"{CLEAN}/{name}" in run.metrics for run in self.runs)]
        heads = [_short(path) for path in paths]
        cells = "".join(f"<th>{escape(head)}</th>" for head in ["", *heads])
        cells += "".join(f"<th class='number'>{escape(COLUMNS[name])}</th>" for name in scores)
        rows = "".join(_row(run, paths, scores, shown) for run in self.runs)
        return f"<div class='scroll'><table><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table></div>"


def varied(leaves: Sequence[Mapping[str, Any]]) -> list[str]:
    """Dotted paths of the options that differ between runs, names of groups first, without what follows from these."""
    names = [f"{group}.name" for group in NAMED]
    paths = dict.fromkeys([*names, *(path for one in leaves for path in one)])
    kept: list[str] = []
    for path in paths:
        values = [str(one.get(path)) for one in leaves]
        group = f"{path.partition('.')[0]}.name"
        if len(set(values)) > 1 and not (group in kept and _follows(values, [str(one.get(group)) for one in leaves])):
            kept.append(path)
    return kept


def _follows(values: Sequence[str], names: Sequence[str]) -> bool:
    """Whether all runs of one name have one value."""
    return len(set(zip(names, values, strict=True))) == len(set(names))


def _short(path: str) -> str:
    return path.removesuffix(".name")


def _row(run: RunFolder, paths: Sequence[str], scores: Sequence[str], shown: Sequence[str]) -> str:
    name = run.path.name
    cells = [f"<td>{_links(name, shown) if run.status == 'done' else escape(run.status)}</td>"]
    cells += [f"<td>{escape(str(run.leaves.get(path, '—')))}</td>" for path in paths]
    found = (run.metrics.get(f"{CLEAN}/{score}") for score in scores)
    cells += [f"<td class='number'>{'—' if value is None else f'{value:.4g}'}</td>" for value in found]
    return f"<tr class='{'chosen' if name in shown else ''}' title='{escape(name)}'>{''.join(cells)}</tr>"


def _links(name: str, shown: Sequence[str]) -> str:
    """Links that open a run alone, or beside the first one shown."""
    alone = f"<a class='open' href='?{escape(urlencode({'run': name}))}'>open</a>"
    if not shown or name == shown[0]:
        return alone
    beside = escape(urlencode({"run": shown[0], "against": name}))
    return f"{alone} · <a class='beside' href='?{beside}'>beside</a>"
