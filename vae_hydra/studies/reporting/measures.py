"""A metric's title, unit and better direction, by its name."""

from __future__ import annotations

LOWER, HIGHER = -1, 1
BETTER = {
    **dict.fromkeys(
        ("half_sse", "mse", "mse_per_pixel", "l1", "l1_per_pixel", "nll", "mmd", "fid", "kid", "cross_entropy"), LOWER
    ),
    **dict.fromkeys(("elbo", "log_likelihood", "psnr", "ssim"), HIGHER),
}
OWN = "denoise/own/"
TITLES = {
    "half_sse": ("half-SSE", "½·Σ(x̂ − x)² per example"),
    "mse_per_pixel": ("MSE", "mean squared error per pixel"),
    "l1_per_pixel": ("L1", "mean absolute error per pixel"),
    "log_likelihood": ("log p(x|z)", "nats per example"),
    "kl": ("KL(q‖p)", "nats per example"),
    "elbo": ("ELBO", "nats per example, at β = 1"),
    "psnr": ("PSNR", "dB"),
    "ssim": ("SSIM", "structural similarity, 1 for equal images"),
    "nll": ("−log p(x)", "bound by importance sampling, nats per example"),
    "active_units": ("active units", "latents whose code, the posterior mean, has a variance above 0.01 over examples"),
    "mmd_p": ("MMD p", "p value of a run's permutation test; the mean of several is no p value"),
    "tail_p": ("tail MMD p", "p value of a run's permutation test; the mean of several is no p value"),
    "accuracy": ("accuracy", "share of examples whose class is predicted"),
    "cross_entropy": ("cross-entropy", "nats per example"),
    # Not an estimate of the tail index: for an Inverse Gaussian that is infinite, and this statistic finite.
    "hill": ("Hill statistic of the largest 1 %", "of the distances of generated examples from the data's median"),
    "hill_real": ("Hill statistic of the largest 1 %, real", "of the distances of real examples from their median"),
}


def better(metric: str) -> int:
    """−1 if less is better, 1 if more is, 0 if neither: for a KL, a size, a floor, a p value or a tail.

    >>> [better(f"generation/{name}") for name in ("mmd", "mmd_floor", "sliced_wasserstein", "hill")]
    [-1, 0, -1, 0]
    """
    name = metric.rpartition("/")[2]
    if name.endswith(("_floor", "_p", "_standard_error", "_std")) or name.startswith("tail"):
        return 0
    if name in BETTER:
        return BETTER[name]
    return LOWER if "wasserstein" in name else HIGHER if "accuracy" in name or name.endswith("_auroc") else 0


def title(metric: str) -> str:
    """A metric's name in headings."""
    protocol, _, name = metric.rpartition("/")
    known = TITLES.get(name, (name,))[0]
    return f"{known}, {_fed(protocol)}" if protocol.startswith(("reconstruct/", "denoise/")) else f"{known} ({metric})"


def unit(metric: str) -> str:
    """What a metric measures, with its unit; the name itself for a metric without an entry."""
    name = metric.rpartition("/")[2]
    return TITLES[name][1] if name in TITLES else name


def axis_label(metric: str) -> str:
    """Title and unit for an axis, one line each."""
    name = metric.rpartition("/")[2]
    return "\n".join(TITLES[name]) if name in TITLES else metric


def _fed(protocol: str) -> str:
    kind, _, noise = protocol.partition("/")
    if kind == "reconstruct":
        return f"{noise} test input"
    return "test input under the noise of training" if noise == "own" else f"test input under noise {noise}"
