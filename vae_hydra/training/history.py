"""metrics.csv: the metrics of training and validation, one row for each epoch."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from vae_hydra.base.files import write_text

Row = dict[str, float]
# Logged by the callback EpochTimer.
SECONDS = "train/seconds_per_epoch"
REMEDY = "repair or delete it: a run continues without the metrics of earlier epochs"


def read_epochs(path: Path) -> list[Row]:
    """Rows of a metrics.csv in order of epochs; empty without a file.

    A row lacks the values that its epoch did not log.

    Raises:
        ValueError: if the file holds anything but numbers, or an epoch has no number.
    """
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        try:
            rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
        except (ValueError, TypeError, csv.Error) as error:
            raise ValueError(f"{path} is damaged: {error}; {REMEDY}") from error
    if not all("epoch" in row for row in rows):
        raise ValueError(f"{path} is damaged: its column epoch is missing, or has gaps; {REMEDY}")
    return rows


def median_seconds(rows: Iterable[Row]) -> float | None:
    """The median time of an epoch's training batches; None if no epoch has one."""
    seconds = [row[SECONDS] for row in rows if SECONDS in row]
    return statistics.median(seconds) if seconds else None


class History:
    """A metrics.csv with a copy in memory, so that an epoch costs one write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows = read_epochs(path)

    def record(self, epoch: int, values: Mapping[str, float]) -> None:
        """Write the row of ``epoch`` in place of all rows from it on, which an interrupted run left."""
        self.extend([(epoch, values)])

    def extend(self, epochs: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Write the rows of several epochs in a row at once."""
        if not epochs:
            return
        kept = [row for row in self._rows if row["epoch"] < epochs[0][0]]
        self._rows = [*kept, *({"epoch": epoch, **values} for epoch, values in epochs)]
        columns = sorted({name for row in self._rows for name in row} - {"epoch"})
        text = io.StringIO()
        writer = csv.DictWriter(text, ["epoch", *columns], lineterminator="\n")
        writer.writeheader()
        # Rows from a file hold floats, but epochs are written as 0 and not as 0.0.
        writer.writerows({**row, "epoch": int(row["epoch"])} for row in self._rows)
        write_text(self.path, text.getvalue())
