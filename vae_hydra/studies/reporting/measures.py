"""A metric's title, unit and better direction, by its name."""

from __future__ import annotations

LOWER, HIGHER = -1, 1
BETTER = {
    **dict.fromkeys(
        ("half_sse", "mse", "mse_per_pixel", "l1", "l1_per_pixel", "nll", "mmd", "fid", "kid", "cross_entropy"), LOWER
    ),
    **dict.fromkeys(("mmd_linear", "tail_ks"), LOWER),
    **dict.fromkeys(("elbo", "log_likelihood", "psnr", "ssim"), HIGHER),
}
OWN = "denoise/own/"
P_VALUE = "p value of a run's test; the mean of several is no p value"
# Before and after the name of a quantile, title and unit.
QUANTILE_MEASURES = (
    ("", "", "quantile ratio", "generated over real quantile of the distance from the data's median, ideally 1"),
    ("", "_low", "quantile ratio, lower end", "of the 95 % interval by the bootstrap"),
    ("", "_high", "quantile ratio, upper end", "of the 95 % interval by the bootstrap"),
    ("", "_error", "quantile error", "relative error of the quantile of the distance from the data's median"),
    ("columns_", "_error", "quantile error of columns", "relative to the quantile's distance from the median, mean"),
)
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
    "mmd_p": ("MMD p", P_VALUE),
    "tail_p": ("tail MMD p", P_VALUE),
    "accuracy": ("accuracy", "share of examples whose class is predicted"),
    "cross_entropy": ("cross-entropy", "nats per example"),
    # Not an estimate of the tail index: for an Inverse Gaussian that is infinite, and this statistic finite.
    "hill": ("Hill statistic of the largest 1 %", "of the distances of generated examples from the data's median"),
    "hill_real": ("Hill statistic of the largest 1 %, real", "of the distances of real examples from their median"),
    "mmd_linear": ("MMD² in linear time", "of generated and real examples, unbiased"),
    "mmd_linear_p": ("MMD p, linear time", P_VALUE),
    "tail_share": ("share in the tail", "share of examples beyond the threshold"),
    "tail_mmd": ("tail MMD²", "of the examples in the tail, unbiased"),
    "tail_ks": ("tail KS distance", "greatest difference of distribution functions of the distance within the tail"),
    "tail_ks_p": ("tail KS p", P_VALUE),
    **{
        f"{side}tail_{name}": (f"{side.replace('_', ' ')}tail {title}", unit)
        for side in ("", "right_", "left_")
        for name, title, unit in (
            ("mmd_linear", "MMD², linear time", "of the examples in the tail, unbiased"),
            ("linear_p", "MMD p, linear time", P_VALUE),
        )
    },
    **{
        f"{prefix}{name}{suffix}": (f"{level} {title}", unit)
        for name, level in (("q99", "99 %"), ("q999", "99.9 %"), ("q9999", "99.99 %"))
        for prefix, suffix, title, unit in QUANTILE_MEASURES
    },
    **{
        f"xi_{name}{suffix}": (f"{title}, {estimator}", unit)
        for name, estimator in (("hill", "Hill"), ("pickands", "Pickands"), ("moment", "moment estimator"))
        for suffix, title, unit in (
            ("", "tail shape ξ = 1/α", "of the distance from the data's median, largest 1 %"),
            ("_error", "error of ξ", "|ξ̂ − ξ| of the largest 1 % of a column, mean over columns"),
        )
    },
    **{
        f"chi{level}{suffix}": (f"{title}, {level} %", unit)
        for level in (95, 99)
        for suffix, title, unit in (
            ("", "tail dependence χ", "P(a column beyond its quantile | another is), mean over pairs"),
            ("_error", "error of tail dependence", "|χ − χ of the real examples|, mean over pairs of columns"),
        )
    },
}
# Endings of a name → what they add to title and unit.
ENDINGS = {
    "_floor": (", floor", "; real examples of another split in place of generated ones"),
    "_real": (", real", "; of the real examples"),
    "_true": (", true", "; against the true distribution"),
}


def better(metric: str) -> int:
    """−1 if less is better, 1 if more is, 0 if neither: for a KL, a size, a floor, a p value or a tail.

    >>> [better(f"generation/{name}") for name in ("mmd", "mmd_floor", "sliced_wasserstein", "hill", "q99_error")]
    [-1, 0, -1, 0, -1]
    """
    name = metric.rpartition("/")[2]
    if name.endswith(("_floor", "_p", "_standard_error", "_std")):
        return 0
    if name in BETTER:
        return BETTER[name]
    if name.startswith("tail"):
        return 0
    if "wasserstein" in name or name.removesuffix("_true").endswith("_error"):
        return LOWER
    return HIGHER if "accuracy" in name or name.endswith("_auroc") else 0


def title(metric: str) -> str:
    """A metric's name in headings."""
    protocol, _, name = metric.rpartition("/")
    known = (_entry(name) or (name,))[0]
    return f"{known}, {_fed(protocol)}" if protocol.startswith(("reconstruct/", "denoise/")) else f"{known} ({metric})"


def unit(metric: str) -> str:
    """What a metric measures, with its unit; the name itself for a metric without an entry."""
    name = metric.rpartition("/")[2]
    return (_entry(name) or (name, name))[1]


def axis_label(metric: str) -> str:
    """Title and unit for an axis, one line each."""
    return "\n".join(_entry(metric.rpartition("/")[2]) or (metric,))


def _entry(name: str) -> tuple[str, str] | None:
    """Title and unit of a metric, of its own or made from those of the name without its ending."""
    if name in TITLES:
        return TITLES[name]
    for ending, (more_title, more_unit) in ENDINGS.items():
        if name.endswith(ending) and (found := _entry(name.removesuffix(ending))):
            return found[0] + more_title, found[1] + more_unit
    return None


def _fed(protocol: str) -> str:
    kind, _, noise = protocol.partition("/")
    if kind == "reconstruct":
        return f"{noise} test input"
    return "test input under the noise of training" if noise == "own" else f"test input under noise {noise}"
