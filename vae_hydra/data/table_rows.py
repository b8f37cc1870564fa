"""Examples of a table as rows in its units and under its names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from vae_hydra.data.examples import Table
from vae_hydra.data.preparation import Preparation
from vae_hydra.data.scaling import Scaling


def described(table: Table, preparation: Preparation) -> dict[str, Any]:
    """Plain values for a checkpoint, from which ``rows_of_table`` restores rows."""
    scaling = preparation.scaling
    values = {} if scaling is None else {key: value.tolist() for key, value in scaling._asdict().items()}
    return {**dataclasses.asdict(table), "transform": preparation.transform, "scaling": values}


def rows_of_table(x: Tensor, y: Tensor | None, description: Mapping[str, Any]) -> pd.DataFrame:
    """Prepared examples [N, D] as a table in its own units and under its own names.

    Args:
        x: examples.
        y: their labels [N], if known.
        description: result of ``described``.
    """
    values = description["scaling"]
    scaling = Scaling(*(torch.tensor(values[key]) for key in Scaling._fields)) if values else None
    table = Table(**{field.name: description[field.name] for field in dataclasses.fields(Table)})
    restored = Preparation(1.0, description["transform"], scaling).undo(x)
    frame = pd.DataFrame(restored.numpy(), columns=table.value_names)
    if y is None or table.label is None:
        return frame
    return frame.assign(**{table.label: [table.classes[label] for label in y.tolist()]})
