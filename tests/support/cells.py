"""Tables of runs from arrays of values: what a pivot reads."""

from __future__ import annotations

import numpy as np
import pandas as pd

METRIC = "reconstruct/clean/half_sse"


def frame(values, metric=METRIC, status="done", noise="none", folds=False) -> pd.DataFrame:
    """Runs of one row per entry of ``values`` [rows, samplers, seeds]."""
    rows, samplers, seeds = np.shape(values)
    return pd.DataFrame(
        [
            {
                "run": f"{i}-{j}-{k}",
                "dataset": f"d{i}",
                "noise": noise,
                "noise_label": noise,
                "options": "",
                "sampler": f"s{j}",
                "sampler_label": f"s{j}",
                "seed": 0 if folds else k,
                "fold": k if folds else None,
                "status": status,
                metric: values[i][j][k],
            }
            for i in range(rows)
            for j in range(samplers)
            for k in range(seeds)
        ]
    )


def drawn(rows, means, seeds, spread=1.0, shared=0.0, seed=0):
    """Normal values, a mean a sampler; ``shared``: standard deviation of what a seed does to all of them."""
    generator = np.random.default_rng(seed)
    own = generator.normal(np.reshape(means, (1, -1, 1)), spread, (rows, len(means), seeds))
    return own + generator.normal(0, shared, (rows, 1, seeds)) if shared else own
