"""Test scores of a trained model, and the table they are printed as."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence

import lightning as L

from vae_hydra.data import DataModule
from vae_hydra.module import VAEModule
from vae_hydra.protocols import CLEAN, DENOISE, EXPECTED

log = logging.getLogger(__name__)

# Column → heading, in the order they are printed.
COLUMNS = {
    "half_sse": "half-SSE",
    "mse_per_pixel": "MSE/pixel",
    "l1_per_pixel": "L1/pixel",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "log_likelihood": "log p(x|z)",
    "kl": "KL",
    "elbo": "ELBO",
    "accuracy": "accuracy",
}
NOTE = (
    "half-SSE per example; MSE and L1 per pixel; PSNR in dB and SSIM per image; log p(x|z), KL and ELBO in nats per "
    "example (ELBO at β = 1)"
)


def score(trainer: L.Trainer, module: VAEModule, data: DataModule, split: str = "test") -> dict[str, float]:
    """Mean scores of ``module`` on a split under every protocol of the module, each from one draw of z per example.

    Returns:
        ``reconstruct/clean/half_sse`` and so on: fed the clean input; ``denoise/<noise>/half_sse``: fed a
        noisy one, in the order of the module's protocols. All are compared with the clean example.
    """
    data.test_split = split
    (results,) = trainer.test(module, datamodule=data, verbose=False)
    _warn_of_infinite(results)
    places = {protocol: place for place, protocol in enumerate(module.protocols)}
    return dict(sorted(results.items(), key=lambda item: (places[_protocol(item[0])], item[0])))


def _warn_of_infinite(results: Mapping[str, float]) -> None:
    protocols = dict.fromkeys(
        _protocol(name) for name, value in results.items() if _is_cost(name) and math.isinf(value)
    )
    if protocols:
        log.warning(
            "infinite scores under %s: latents or reconstructions of some examples exceed %s",
            ", ".join(protocols),
            "the model's precision; try sampler.positive=softplus, or train under this noise",
        )


def _is_cost(name: str) -> bool:
    return name.rpartition("/")[2] in EXPECTED


def table(metrics: Mapping[str, float], number: str = ".4f") -> str:
    """The scores as text: a row a protocol, and below it, a line each, what was measured on request.

    ``number`` is the format of a value.
    """
    found = dict.fromkeys(_protocol(name) for name in metrics if _is_score(name))
    protocols = sorted(found, key=lambda protocol: protocol != CLEAN)
    columns = [column for column in COLUMNS if any(f"{p}/{column}" in metrics for p in protocols)]
    rows = [["", *(COLUMNS[column] for column in columns)]]
    for protocol in protocols:
        cells = [metrics.get(f"{protocol}/{column}") for column in columns]
        rows.append([protocol, *("—" if cell is None else f"{cell:{number}}" for cell in cells)])
    lines = aligned(rows)
    others = aligned([[name, f"{value:{number}}"] for name, value in metrics.items() if not _is_score(name)])
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], NOTE, *others])


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of as many cells each as lines: the first column to the left, the others to the right."""
    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join([f"{row[0]:<{widths[0]}}", *(f"{c:>{w}}" for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]


def brief(metrics: Mapping[str, float]) -> str:
    """half-SSE and ELBO on clean input, in one line."""
    names = [name for name in ("half_sse", "elbo") if f"{CLEAN}/{name}" in metrics]
    return "  ".join(f"{COLUMNS[name]} {metrics[f'{CLEAN}/{name}']:.4g}" for name in names)


def _protocol(name: str) -> str:
    return name.rpartition("/")[0]


def _is_score(name: str) -> bool:
    return name.startswith(("reconstruct/", f"{DENOISE}/"))
