"""Distances between generated and real examples, directly or on features of a network."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from vae_hydra._moved import attributes_of
from vae_hydra.analysis.kernel_tests import KERNEL_EXAMPLES, mmd_permutation_test

__getattr__ = attributes_of(__name__)

KID_SUBSETS, KID_SUBSET_SIZE = 100, 1000


def distances(
    generated: Tensor,
    real: Tensor,
    permutations: int,
    generator: torch.Generator,
    projections: int = 500,
    kernel_examples: int = KERNEL_EXAMPLES,
    sliced_examples: int | None = None,
) -> dict[str, float]:
    """``mmd``, its p value ``mmd_p``, and ``sliced_wasserstein`` of two samples [N, D] and [M, D].

    The last falls with the size of the samples: of each, it takes at most ``sliced_examples``.
    """
    mmd, p = mmd_permutation_test(generated, real, permutations, generator, kernel_examples)
    first, second = generated[:sliced_examples], real[:sliced_examples]
    return {"mmd": mmd, "mmd_p": p, "sliced_wasserstein": sliced_wasserstein(first, second, projections, generator)}


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
