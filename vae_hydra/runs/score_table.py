"""Test scores as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vae_hydra.training.protocols import CLEAN, DENOISE, protocol_of

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


def table(metrics: Mapping[str, float], number: str = ".4f") -> str:
    """The scores as text: a row for each protocol, then a line for each measure on request.

    ``number`` is the format of a value.
    """
    found = dict.fromkeys(protocol_of(name) for name in metrics if _is_score(name))
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
    """Rows of equal length as lines: the first column flush left, the others flush right."""
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


def _is_score(name: str) -> bool:
    return name.startswith(("reconstruct/", f"{DENOISE}/"))
