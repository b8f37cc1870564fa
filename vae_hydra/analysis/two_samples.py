"""Distances between generated and real examples, directly or on features of a network, and measures of their tails."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from vae_hydra.distributions.tails import hill_statistic, radius

# A kernel matrix uses at most this many examples of each sample.
KERNEL_EXAMPLES = 2000
KID_SUBSETS, KID_SUBSET_SIZE = 100, 1000
# MMD of the tails needs this many examples in each.
LEAST_IN_TAIL = 20


def distances(
    generated: Tensor, real: Tensor, permutations: int, generator: torch.Generator, projections: int = 500
) -> dict[str, float]:
    """``mmd``, its p value ``mmd_p``, and ``sliced_wasserstein`` of two samples [N, D] and [M, D]."""
    mmd, p = mmd_permutation_test(generated, real, permutations, generator)
    return {"mmd": mmd, "mmd_p": p, "sliced_wasserstein": sliced_wasserstein(generated, real, projections, generator)}


def mmd_permutation_test(x: Tensor, y: Tensor, permutations: int, generator: torch.Generator) -> tuple[float, float]:
    """Squared maximum mean discrepancy of two samples, and its p value by permutation.

    MMD² = E k(x, x′) + E k(y, y′) − 2·E k(x, y) for a Gaussian kernel whose width is the median distance of the pooled
    examples. The estimate uses pairs of different examples, so it is unbiased, whatever N and M: for samples of one
    distribution it is around 0 and may be negative. There, examples are exchangeable between the samples, so
    p = (1 + #{permuted MMD² ≥ MMD²}) / (1 + permutations) is exact.

    Args:
        x, y: examples [N, D] and [M, D], two or more; the first ``KERNEL_EXAMPLES`` of each are used.
        permutations: number of random assignments.
        generator: of the permutations.

    Returns:
        MMD² and p in (0, 1].

    Source: Gretton et al., "A kernel two-sample test", 2012.
    """
    x, y = x[:KERNEL_EXAMPLES].double(), y[:KERNEL_EXAMPLES].double()
    n, m = len(x), len(y)
    kernel = kernel_matrix(torch.cat([x, y])).fill_diagonal_(0)
    in_x = (torch.arange(n + m) < n).double()
    orders = [torch.randperm(n + m, generator=generator) for _ in range(permutations)]
    assignments = torch.stack([in_x, *(in_x[order] for order in orders)])
    within_x = ((assignments @ kernel) * assignments).sum(-1)
    between = assignments @ kernel.sum(1) - within_x
    within_y = kernel.sum() - within_x - 2 * between
    statistics = within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * between / (n * m)
    # A permutation that only swaps equal examples gives the same value up to rounding.
    as_large = (statistics[1:] >= statistics[0] - 1e-12).sum().item()
    return statistics[0].item(), (1 + as_large) / (1 + permutations)


def kernel_matrix(x: Tensor) -> Tensor:
    """exp(−‖xᵢ − xⱼ‖²/(2·s²)) of examples [N, D], with s the median of their distances: [N, N]."""
    distances = torch.cdist(x, x)
    off_diagonal = distances[~torch.eye(len(x), dtype=torch.bool, device=x.device)]
    scale = off_diagonal.median().clamp(min=torch.finfo(x.dtype).tiny ** 0.5)
    return torch.exp(-0.5 * (distances / scale).square())


def sliced_wasserstein(x: Tensor, y: Tensor, projections: int, generator: torch.Generator) -> float:
    """Mean over random directions u, ‖u‖ = 1, of the Wasserstein-1 distance of the projected samples.

    Args:
        x, y: examples [N, D] and [M, D]; the longer sample is cut to the length of the shorter.
        projections: number of directions.
        generator: of the directions.

    Source: Bonneel et al., "Sliced and Radon Wasserstein barycenters of measures", 2015.
    """
    count = min(len(x), len(y))
    directions = torch.randn(x.shape[1], projections, generator=generator, dtype=x.dtype)
    directions = directions / directions.norm(dim=0)
    first, second = ((sample[:count] @ directions).sort(0).values for sample in (x, y))
    return (first - second).abs().mean().item()


def tail_measures(
    generated: Tensor, real: Tensor, permutations: int, generator: torch.Generator, level: float = 0.95
) -> dict[str, float]:
    """Comparison of the tails of generated and real vectors.

    The radius is the distance from the median of the real examples. The tail begins at the ``level`` quantile of the
    real radius.

    Args:
        generated, real: examples [N, D] and [M, D].
        permutations, generator: of the test.
        level: quantile of the real radius where the tail begins.

    Returns:
        ``tail_share``: share of generated examples in the tail (ideal: 1 − level);
        ``q99``, ``q999`` and ``q9999``: quantiles of the generated radius over those of the real one (ideal: 1);
        ``hill`` and ``hill_real``: Hill statistics of the largest 1 %;
        ``tail_mmd`` and ``tail_p``: MMD² of the two tails and its p value, absent if a tail has fewer than 20 examples.
    """
    centre = real.median(0).values
    r_generated, r_real = radius(generated, centre), radius(real, centre)
    start = _quantile(r_real, level)
    in_tail = r_generated > start
    measures = {"tail_share": in_tail.double().mean().item()}
    for name, q in (("q99", 0.99), ("q999", 0.999), ("q9999", 0.9999)):
        measures[name] = _quantile(r_generated, q) / _quantile(r_real, q)
    measures |= {"hill": hill_statistic(r_generated), "hill_real": hill_statistic(r_real)}
    tails = (generated[in_tail], real[r_real > start])
    if min(map(len, tails)) >= LEAST_IN_TAIL:
        measures["tail_mmd"], measures["tail_p"] = mmd_permutation_test(*tails, permutations, generator)
    return measures


def _quantile(values: Tensor, level: float) -> float:
    # torch.quantile refuses more than 16 million values and is slower.
    return values.double().kthvalue(max(1, round(level * len(values)))).values.item()


def feature_distances(x: Tensor, y: Tensor, generator: torch.Generator) -> dict[str, float]:
    """``fid``, ``kid`` and ``kid_sd`` of two samples of features [N, D] and [M, D]."""
    kid, deviation = kernel_distance(x, y, generator)
    return {"fid": frechet_distance(x, y), "kid": kid, "kid_sd": deviation}


def frechet_distance(x: Tensor, y: Tensor) -> float:
    """‖μ_x − μ_y‖² + tr(Σ_x + Σ_y − 2·(Σ_x·Σ_y)^½), the Fréchet distance of Gaussians of the samples' moments.

    Its upward bias grows as the samples shrink: compare values only for equal sample sizes.

    Args:
        x, y: features [N, D] and [M, D], two or more of each.

    Source: Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium", 2017.
    """
    metric = FrechetInceptionDistance(_ComputedFeatures(x.shape[1]))
    metric.update(x.double(), real=False)
    metric.update(y.double(), real=True)
    return metric.compute().item()


def kernel_distance(x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[float, float]:
    """Mean and standard deviation over 100 random subsets of the squared MMD with kernel (u·v/D + 1)³.

    The estimate is unbiased whatever the sample sizes, so it is around 0 for samples of one distribution. A subset has
    1,000 examples of each sample, or half of the smaller sample.

    Args:
        x, y: features [N, D] and [M, D], four or more of each.
        generator: of the subsets.

    Source: Bińkowski et al., "Demystifying MMD GANs", 2018.
    """
    size = min(KID_SUBSET_SIZE, len(x) // 2, len(y) // 2)
    seed = int(torch.randint(2**31, (), generator=generator))
    # torchmetrics warns that it keeps the features, and draws subsets from the global generator.
    with warnings.catch_warnings(action="ignore"), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        metric = KernelInceptionDistance(_ComputedFeatures(x.shape[1]), subsets=KID_SUBSETS, subset_size=size)
        metric.update(x.double(), real=False)
        metric.update(y.double(), real=True)
        mean, deviation = metric.compute()
    return mean.item(), deviation.item()


class _ComputedFeatures(nn.Identity):
    """Stands in for torchmetrics' feature network where the features are already computed."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features
