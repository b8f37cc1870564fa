"""The same test examples, reconstructed by every sampler: what figures and page show side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from vae_hydra.drawing.plots.arrays import Limits
from vae_hydra.runs.examples import load_examples
from vae_hydra.studies.reporting.pivots import Row

Arrays = Mapping[str, np.ndarray]


class Compared(NamedTuple):
    """Examples of the runs of one row of a pivot.

    Attributes:
        row: the row.
        seed: of the runs.
        samplers: label of a sampler → its arrays, as ``load_examples`` reads them.
    """

    row: Row
    seed: int
    samplers: Mapping[str, Arrays]

    @property
    def subject(self) -> str:
        """The row as text."""
        return ", ".join(filter(None, [self.row.dataset, f"noise {self.row.noise}", self.row.options]))

    @property
    def are_images(self) -> bool:
        """Whether the examples are images; else they are points."""
        return bool(self._first["original"].ndim == 4)

    @property
    def limits(self) -> Limits:
        """The values that are shown as black and white."""
        return float(self._first["original"].min()), float(self._first["original"].max())

    @property
    def _first(self) -> Arrays:
        return next(iter(self.samplers.values()))

    @property
    def blocks(self) -> dict[str, dict[str, np.ndarray]]:
        """Protocol → name of a line → examples: clean input, and noisy input where the runs have it."""
        clean = {name: arrays["reconstruction"] for name, arrays in self.samplers.items()}
        blocks = {"clean input": {"original": self._first["original"], **clean}}
        if "noisy" in self._first:
            noisy = {name: arrays["denoised"] for name, arrays in self.samplers.items()}
            blocks["noisy input"] = {"input": self._first["noisy"], **noisy}
        return blocks


def compared(frame: pd.DataFrame) -> Iterator[Compared]:
    """The examples of each row that kept any: those of the seed of which the most samplers have the same inputs."""
    placed = frame.dropna(subset=["sampler_label", "noise_label", "options", "folder"])
    placed = placed[placed["status"] == "done"]
    for row, runs in placed.groupby(["dataset", "noise_label", "options"], sort=False):
        if shown := _of_one_replicate(runs):
            yield Compared(Row(*row), *shown)


def _of_one_replicate(runs: pd.DataFrame) -> tuple[int, dict[str, dict[str, Any]]] | None:
    found: dict[tuple[int, Any], dict[str, dict[str, Any]]] = {}
    for run in runs[["folder", "seed", "fold", "sampler_label"]].to_dict("records"):
        arrays = load_examples(Path(run["folder"]))
        if arrays:
            inputs = (arrays["original"].tobytes(), arrays.get("noisy", arrays["original"]).tobytes())
            fold = None if pd.isna(run["fold"]) else int(run["fold"])
            group = found.setdefault((int(run["seed"]), (fold, *inputs)), {})
            group[run["sampler_label"]] = arrays
    if not found:
        return None
    (seed, _), by_sampler = max(found.items(), key=lambda item: (len(item[1]), -item[0][0]))
    return seed, by_sampler
