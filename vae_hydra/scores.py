"""Test scores of a trained model, and the table they are printed as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import lightning as L

from vae_hydra.data import DataModule
from vae_hydra.module import VAEModule

# Column → heading, in the order they are printed.
COLUMNS = {
    "half_sse": "half-SSE",
    "mse_per_pixel": "MSE/pixel",
    "l1_per_pixel": "L1/pixel",
    "log_likelihood": "log p(x|z)",
    "kl": "KL",
    "elbo": "ELBO",
    "accuracy": "accuracy",
}
NOTE = "half-SSE per example; MSE and L1 per pixel; log p(x|z), KL and ELBO in nats per example (ELBO at β = 1)"


def score(trainer: L.Trainer, module: VAEModule, data: DataModule, split: str = "test") -> dict[str, float]:
    """Mean scores of ``module`` on a split under every protocol of the module, each from one draw of z per example.

    Returns:
        ``reconstruct/clean/half_sse`` and so on: fed the clean input; ``denoise/<noise>/half_sse``: fed a
        noisy one. Both are compared with the clean example.
    """
    data.test_split = split
    (results,) = trainer.test(module, datamodule=data, verbose=False)
    return dict(sorted(results.items()))


def table(metrics: Mapping[str, float]) -> str:
    """The scores as text: a row a protocol, and below it, a line each, what was measured on request."""
    protocols = sorted({name.rpartition("/")[0] for name in metrics if _is_protocol(name)}, reverse=True)
    columns = [column for column in COLUMNS if any(f"{p}/{column}" in metrics for p in protocols)]
    rows = [["", *(COLUMNS[column] for column in columns)]]
    for protocol in protocols:
        cells = [metrics.get(f"{protocol}/{column}") for column in columns]
        rows.append([protocol, *("—" if cell is None else f"{cell:.4f}" for cell in cells)])
    lines = _aligned(rows)
    others = _aligned([[name, f"{value:.4f}"] for name, value in metrics.items() if not _is_protocol(name)])
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], NOTE, *others])


def brief(metrics: Mapping[str, float]) -> str:
    """half-SSE under every protocol, in one line."""
    scores = {name.rpartition("/")[0]: value for name, value in metrics.items() if name.endswith("/half_sse")}
    return "half-SSE  " + "  ".join(f"{protocol} {value:.4g}" for protocol, value in scores.items())


def _is_protocol(name: str) -> bool:
    return name.startswith(("reconstruct/", "denoise/"))


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join([f"{row[0]:<{widths[0]}}", *(f"{c:>{w}}" for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
