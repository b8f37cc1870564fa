"""Rows of numbers from the user's CSV or Parquet file, or from arrays."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from vae_hydra.base import checks
from vae_hydra.data.examples import Examples, Source, Table
from vae_hydra.data.located import MissingFiles, located
from vae_hydra.data.own_files import file_digest
from vae_hydra.data.splits import random_test, test_count

log = logging.getLogger(__name__)

MISSING = ("refuse", "drop")
# Values of a column that says where each row belongs.
PARTS = ("train", "validation", "test")


def load_table(
    path: str | None,
    columns: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    label: str | None = None,
    missing: str = "refuse",
    split: str = "random",
    test: float = 0.2,
    order_by: str | None = None,
    window: int = 1,
    seed: int = 0,
    root: str | None = None,
) -> Source:
    """Rows of a table, or windows of consecutive rows, as vectors.

    A window of w rows and c columns is a vector of w·c values, row by row, with the label of its last row. Windows do
    not cross the border of a part, and validation is w − 1 windows away from training, so that no row is in both.

    Args:
        path: a .csv, .parquet, .npy or .npz file. An .npy file holds rows [N, D], an .npz file ``x`` [N, D] and perhaps
            labels ``y`` [N]; their columns are called x0, x1, …, and y.
        columns: columns with values; None for all columns of numbers but label and those that split and order.
        exclude: columns to leave out.
        label: column with classes: text or whole numbers.
        missing: ``refuse`` rows with missing or infinite values, or ``drop`` them, and windows with such rows.
        split: ``random``; ``time``, where the last rows are for testing and the last of the others for validation; or
            the name of a column whose values are train, validation and test.
        test: share of the rows for testing, unless a column says.
        order_by: column to sort by first; None for the order of the file.
        window: number of consecutive rows in an example.
        seed: seed of a random split.
        root: folder that a relative path starts from, and that holds the file of an absolute path; None for the current
            folder.

    Raises:
        ValueError: for a file that cannot be read, columns that are not there or hold no numbers, missing values, or
            options that do not fit one another.
    """
    file = _existing(path, root)
    frame = _read(file)
    checks.one_of("dataset.missing", missing, MISSING)
    checks.positive_integer("dataset.window", window)
    if window > 1 and split == "random":
        raise ValueError(
            f"dataset.window={window} needs dataset.split=time or a column: random windows would share rows between "
            "training and test"
        )
    if order_by is not None:
        frame = frame.sort_values(_column(frame, "order_by", order_by), kind="stable")
    by_column = split not in ("random", "time")
    special = [name for name in (label, order_by, split if by_column else None) if name is not None]
    names = _chosen(frame, columns, exclude, special)
    valid = _valid(frame, names, label, missing)
    values = torch.tensor(frame[names].to_numpy(np.float32, na_value=np.nan))
    codes, classes = _labels(frame, label)

    def examples(rows: np.ndarray) -> Examples:
        return _windows(values[rows], codes[rows], valid[rows], rows, window)

    parts = {name: examples(rows) for name, rows in _parts(frame, split, test, valid, window, seed).items()}
    for name in ("train", "test"):
        if not len(parts[name]):
            raise ValueError(f"the table {file} leaves nothing for {name}; use other values of split, test or window")
    table = Table(names, window, label, classes, file_digest(file))
    log.info("table    %s: %d rows of %s", file, int(valid.sum()), ", ".join(names))
    return Source(
        parts["train"],
        parts["test"],
        validation=parts.get("validation"),
        in_order=split == "time" or window > 1,
        gap=window - 1,
        table=table,
    )


def _existing(path: Any, root: str | None) -> Path:
    if not isinstance(path, str) or not path:
        raise ValueError(f"dataset=table needs a file: dataset.path=FILE, but got {path!r}")
    file = located(path, root)
    if file.suffix not in READERS:
        raise ValueError(f"dataset.path must end with {', '.join(READERS)}, but got {path!r}")
    if not file.is_file():
        raise MissingFiles(f"dataset.path={path}: there is no file {file.absolute()}", file.name)
    return file


def _read_parquet(file: Path) -> pd.DataFrame:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ValueError("a .parquet file needs pyarrow: pip install 'vae_hydra[parquet]'") from error
    return pd.read_parquet(file)


def _read_npz(file: Path) -> pd.DataFrame:
    with np.load(file, allow_pickle=False) as arrays:
        if "x" not in arrays:
            raise ValueError(f"it holds {', '.join(arrays) or 'nothing'}, but rows are expected as x")
        frame = _as_frame(arrays["x"])
        return frame.assign(y=arrays["y"]) if "y" in arrays else frame


def _as_frame(rows: np.ndarray) -> pd.DataFrame:
    if rows.ndim != 2:
        raise ValueError(f"rows [N, D] are expected, but got an array of shape {list(rows.shape)}")
    return pd.DataFrame(rows, columns=[f"x{number}" for number in range(rows.shape[1])])


READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": pd.read_csv,
    ".parquet": _read_parquet,
    ".npy": lambda file: _as_frame(np.load(file, allow_pickle=False)),
    ".npz": _read_npz,
}


def _read(file: Path) -> pd.DataFrame:
    try:
        frame = READERS[file.suffix](file)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(f"{file} cannot be read as a table: {error}") from error
    if frame.empty:
        raise ValueError(f"{file} has no rows")
    return frame.rename(columns=str)


def _column(frame: pd.DataFrame, option: str, name: str) -> str:
    if name not in frame.columns:
        raise ValueError(f"dataset.{option}: the table has no column {name!r}; its columns are {_listed(frame)}")
    return name


def _listed(frame: pd.DataFrame) -> str:
    return ", ".join(frame.columns[:30]) + (", …" if len(frame.columns) > 30 else "")


def _chosen(
    frame: pd.DataFrame, columns: Sequence[str] | None, exclude: Sequence[str], special: Sequence[str]
) -> list[str]:
    """Columns with values, in the order asked for, or in that of the table."""
    for option, names in (("columns", columns or ()), ("exclude", exclude)):
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"dataset.{option} must be a list of columns, but got {names!r}")
        for name in names:
            _column(frame, option, name)
    are_numbers = {name: _is_numeric(frame[name]) for name in frame.columns}
    if columns is None:
        chosen = [name for name in frame.columns if are_numbers[name] and name not in (*exclude, *special)]
        others = [name for name in frame.columns if not are_numbers[name] and name not in (*exclude, *special)]
        if others:
            log.info("table    left out, because they hold no numbers: %s", ", ".join(others))
    else:
        chosen = [name for name in columns if name not in exclude]
    texts = [name for name in chosen if not are_numbers[name]]
    if texts:
        raise ValueError(f"dataset.columns: {', '.join(texts)} hold no numbers")
    if not chosen:
        raise ValueError(f"the table has no column of numbers left; its columns are {_listed(frame)}")
    return chosen


def _is_numeric(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column)


def _valid(frame: pd.DataFrame, names: Sequence[str], label: str | None, missing: str) -> np.ndarray:
    """Whether each row has all its values."""
    finite = pd.DataFrame({name: np.isfinite(frame[name].to_numpy(float, na_value=np.nan)) for name in names})
    if label is not None:
        finite[label] = frame[_column(frame, "label", label)].notna().to_numpy()
    lacking = {name: int(count) for name, count in (~finite).sum().items() if count}
    if lacking and missing == "refuse":
        counts = ", ".join(f"{name} ({count})" for name, count in lacking.items())
        raise ValueError(
            f"the table has missing or infinite values in {counts}; use dataset.missing=drop to leave those rows out, "
            "or dataset.exclude for the columns"
        )
    return finite.all(axis=1).to_numpy()


def _labels(frame: pd.DataFrame, label: str | None) -> tuple[torch.Tensor, list[str]]:
    """The class of each row, from 0, and the classes' names; class 0 for all rows of a table without labels."""
    if label is None:
        return torch.zeros(len(frame), dtype=torch.long), []
    codes, classes = pd.factorize(frame[label], sort=True)
    if len(classes) > max(100, len(frame) // 2):
        raise ValueError(f"dataset.label: column {label!r} has {len(classes)} values, which are no classes")
    return torch.from_numpy(codes.astype(np.int64)), [str(value) for value in classes]


def _parts(
    frame: pd.DataFrame, split: str, test: float, valid: np.ndarray, window: int, seed: int
) -> dict[str, np.ndarray]:
    """The rows of each part, in order."""
    # Rows that are left out must not change where others go, except within windows, which need them as borders.
    rows = np.arange(len(frame)) if window > 1 else np.flatnonzero(valid)
    if split not in ("random", "time"):
        where = frame[_column(frame, "split", split)].to_numpy()[rows]
        strangers = sorted({str(value) for value in where} - set(PARTS))
        if strangers:
            raise ValueError(
                f"dataset.split: column {split!r} must hold {', '.join(PARTS)}, but it holds {', '.join(strangers[:5])}"
            )
        return {part: rows[where == part] for part in PARTS if part in where or part != "validation"}
    count = test_count(len(rows), test)
    if split == "time":
        return {"train": rows[: len(rows) - count], "test": rows[len(rows) - count :]}
    train, tested = random_test(len(rows), count, seed)
    return {"train": rows[train.numpy()], "test": rows[tested.numpy()]}


def _windows(values: torch.Tensor, labels: torch.Tensor, valid: np.ndarray, rows: np.ndarray, window: int) -> Examples:
    """Windows of rows that are all valid and follow one another in the table: [at most N − w + 1, w·c]."""
    if len(values) < window:
        return Examples(values[:0].repeat(1, window), labels[:0])
    x = values.unfold(0, window, 1).transpose(1, 2).flatten(1)
    are_neighbours = torch.from_numpy(rows[window - 1 :] - rows[: len(rows) - window + 1] == window - 1)
    whole = torch.from_numpy(valid).unfold(0, window, 1).all(1) & are_neighbours
    return Examples(x[whole], labels[window - 1 :][whole])
