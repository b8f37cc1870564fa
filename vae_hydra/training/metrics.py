"""Measures of one batch as pure functions, and their mean over many batches."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torchmetrics import Metric

from vae_hydra.training.protocols import RECONSTRUCTION, image_measure_names

# Side and standard deviation of the Gaussian window of SSIM (Wang et al., 2004), in pixels.
SSIM_WINDOW, SSIM_SIGMA = 11, 1.5


def half_sse(reconstruction: Tensor, x: Tensor, event_dims: int) -> Tensor:
    """½·Σ(x̂ − x)² per example, summed over the last ``event_dims`` dimensions."""
    return 0.5 * (reconstruction - x).square().flatten(-event_dims).sum(-1)


def mse_per_pixel(reconstruction: Tensor, x: Tensor, event_dims: int) -> Tensor:
    """Mean of (x̂ − x)² over the values of an example, per example."""
    return (reconstruction - x).square().flatten(-event_dims).mean(-1)


def l1_per_pixel(reconstruction: Tensor, x: Tensor, event_dims: int) -> Tensor:
    """Mean of |x̂ − x| over the values of an example, per example."""
    return (reconstruction - x).abs().flatten(-event_dims).mean(-1)


def labelled_cross_entropy(logits: Tensor, y: Tensor, share: float) -> Tensor:
    """Cross-entropy per example [nats] over the share of labelled examples.

    Its mean over all examples is the mean over the labelled ones. The weight of a label does not depend on the number
    of labels in its batch.

    Args:
        logits: [..., classes].
        y: labels [...]; −1 for an unlabelled example, whose term is 0.
        share: share of labelled examples in the split, in (0, 1].

    >>> labelled_cross_entropy(torch.zeros(2, 10), torch.tensor([3, -1]), share=0.5)  # 2·ln 10
    tensor([4.6052, 0.0000])
    """
    log_probability = logits.log_softmax(-1).gather(-1, y.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return -log_probability * (y >= 0).to(logits.dtype) / share


def accuracy(logits: Tensor, y: Tensor, share: float = 1.0) -> Tensor:
    """1/``share`` for each example [...] with the greatest logit [..., classes] at its label, else 0.

    Its mean over all examples is the accuracy over the labelled ones, whose share is ``share``.
    """
    return (logits.argmax(-1) == y).to(logits.dtype) / share


RECONSTRUCTION_MEASURES = dict(zip(RECONSTRUCTION, (half_sse, mse_per_pixel, l1_per_pixel), strict=True))


def reconstruction_measures(reconstruction: Tensor, x: Tensor, event_dims: int) -> dict[str, Tensor]:
    """All of ``RECONSTRUCTION_MEASURES`` by name, each of shape [B]."""
    return {name: measure(reconstruction, x, event_dims) for name, measure in RECONSTRUCTION_MEASURES.items()}


def psnr(reconstruction: Tensor, x: Tensor, span: float) -> Tensor:
    """Peak signal-to-noise ratio per image [dB]: 10·log₁₀(span²/MSE), with the MSE of that image.

    Like every measure here, it does not clip reconstructions to the range of the data. Without error it is inf.

    Args:
        reconstruction, x: images [B, C, H, W].
        span: greatest minus smallest value of the training data.

    >>> psnr(torch.full((1, 1, 8, 8), 0.1), torch.zeros(1, 1, 8, 8), span=1.0)
    tensor([20.])
    """
    return 10 * torch.log10(span**2 / mse_per_pixel(reconstruction, x, event_dims=3))


def ssim(reconstruction: Tensor, x: Tensor, span: float) -> Tensor:
    """Structural similarity per image, at most 1: the mean over windows and channels of
    (2μ_x·μ_y + c₁)(2σ_xy + c₂) / ((μ_x² + μ_y² + c₁)(σ_x² + σ_y² + c₂)), c₁ = (0.01·span)², c₂ = (0.03·span)².

    The window is a Gaussian of σ = 1.5 in 11×11 pixels, at all positions within the image. If a side is below 11, it
    is the largest odd window that fits, and σ shrinks in proportion to its reach: 7×7 and 0.9 in 8×8 images.

    torchmetrics' SSIM includes windows across the border, and does not fit its window to small images.

    Args:
        reconstruction, x: images [B, C, H, W], H and W at least 3.
        span: greatest minus smallest value of the training data.

    Source: Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004.
    """
    reach = (min(SSIM_WINDOW, *x.shape[-2:]) - 1) // 2
    # Matrix products sum over windows many times faster than a two-dimensional convolution.
    rows, columns = (_gaussian_windows(side, reach, x) for side in x.shape[-2:])
    one, other, one_square, other_square, product = (
        rows @ values @ columns.T
        for values in (reconstruction, x, reconstruction.square(), x.square(), reconstruction * x)
    )
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    variances = (one_square - one.square()).clamp(min=0) + (other_square - other.square()).clamp(min=0)
    likeness = (2 * one * other + c1) * (2 * (product - one * other) + c2)
    return (likeness / ((one.square() + other.square() + c1) * (variances + c2))).flatten(-3).mean(-1)


def _gaussian_windows(side: int, reach: int, like: Tensor) -> Tensor:
    """Weights of a row's pixels in each Gaussian window within the row: [side − 2·reach, side]."""
    pixels = torch.arange(side, dtype=like.dtype, device=like.device)
    offsets = pixels - pixels[reach : side - reach, None]
    sigma = SSIM_SIGMA * reach / (SSIM_WINDOW // 2)
    weights = torch.exp(-0.5 * (offsets / sigma).square()) * (offsets.abs() <= reach)
    return weights / weights.sum(1, keepdim=True)


def image_measures(reconstruction: Tensor, x: Tensor, span: float) -> dict[str, Tensor]:
    """``psnr`` and ``ssim`` of images [B, C, H, W] by name, each of shape [B]; {} or only ``psnr`` if undefined."""
    measures = {"psnr": psnr, "ssim": ssim}
    # SSIM's variances are differences of squares, which mixed precision would lose.
    with torch.autocast(x.device.type, enabled=False):
        reconstruction = reconstruction.to(x.dtype)
        return {name: measures[name](reconstruction, x, span) for name in image_measure_names(x.shape[1:])}


# Values that replace NaN in a term, if not +inf: the worst value, and for SSIM its limit.
_WORST = {"log_likelihood": -math.inf, "psnr": -math.inf, "ssim": 0.0}


def defined(terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Terms by name, with NaN replaced by its limit.

    NaN comes from latents or reconstructions beyond the precision, e.g. a KL of ∞ − ln ∞. A cost becomes inf,
    log p(x|z) −inf.
    """
    return {name: torch.where(term.isnan(), _WORST.get(name, math.inf), term) for name, term in terms.items()}


def with_totals(means: Mapping[str, Tensor], has_elbo: bool) -> dict[str, Tensor]:
    """Means by name with ``kl``, the sum over the latents, for ``kl_per_latent`` [..., L], and ``elbo`` at β = 1."""
    values = dict(means)
    values["kl"] = values.pop("kl_per_latent").sum(-1)
    return values | ({"elbo": values["log_likelihood"] - values["kl"]} if has_elbo else {})


class MeanOverExamples(Metric):
    """Mean over all examples of several per-example terms, accumulated on the device as one vector.

    Checkpoints hold its state, so that an interrupted epoch continues with its sums.

    Args:
        sizes: number of values per example of each term: 1 for shape [B], n for [B, n].

    >>> means = MeanOverExamples({"loss": 1, "kl": 2})
    >>> means.update({"loss": torch.tensor([1.0, 3.0]), "kl": torch.ones(2, 2)})
    >>> means.compute()
    {'loss': tensor(2.), 'kl': tensor([1., 1.])}
    """

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self.sizes = dict(sizes)
        self.add_state("total", torch.zeros(sum(sizes.values())), dist_reduce_fx="sum", persistent=True)
        self.add_state("count", torch.zeros(()), dist_reduce_fx="sum", persistent=True)

    def update(self, terms: Mapping[str, Tensor]) -> None:
        """Add a batch: a tensor of shape [B] or [B, n] for every term."""
        columns = [terms[name].detach().reshape(-1, size) for name, size in self.sizes.items()]
        self.total += torch.cat([column.sum(0) for column in columns])
        self.count += len(columns[0])

    def compute(self) -> dict[str, Tensor]:
        """Mean of each term: a vector of n, which torchmetrics turns into a scalar if n = 1."""
        means = (self.total / self.count).split(list(self.sizes.values()))
        return dict(zip(self.sizes, means, strict=True))


class MeansOfRuns:
    """Means over examples of per-example terms [M, B] or [M, B, n], for each run."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.count = 0

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Add a batch, of which every term is given."""
        for name, term in terms.items():
            total = term.detach().sum(1)
            self.sums[name] = self.sums[name] + total if name in self.sums else total
        self.count += next(iter(terms.values())).shape[1]

    def compute(self) -> dict[str, Tensor]:
        """Name → means [M] or [M, n]."""
        return {name: total / self.count for name, total in self.sums.items()}
