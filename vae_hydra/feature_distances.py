"""Fréchet and kernel distance of two samples of features: FID and KID, whatever network the features are of."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

KID_SUBSETS, KID_SUBSET_SIZE = 100, 1000


class _Given(nn.Identity):
    """Features that were computed before, in place of the network that torchmetrics would compute them with."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features


def frechet_distance(x: Tensor, y: Tensor) -> float:
    """‖μ_x − μ_y‖² + tr(Σ_x + Σ_y − 2·(Σ_x·Σ_y)^½), the Fréchet distance of Gaussians of the samples' moments.

    It is biased upwards, the more the fewer the examples: compare values from equal numbers of them.

    Args:
        x, y: features [N, D] and [M, D], two or more of each.

    Source: Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium", 2017.
    """
    metric = FrechetInceptionDistance(_Given(x.shape[1]))
    metric.update(x.double(), real=False)
    metric.update(y.double(), real=True)
    return metric.compute().item()


def kernel_distance(x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[float, float]:
    """Mean and standard deviation over 100 random subsets of the squared MMD with kernel (u·v/D + 1)³.

    The estimate has no bias from the number of examples, and is around 0 for samples of one distribution. A subset is
    1,000 of each sample, or half of the smaller one.

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
        metric = KernelInceptionDistance(_Given(x.shape[1]), subsets=KID_SUBSETS, subset_size=size)
        metric.update(x.double(), real=False)
        metric.update(y.double(), real=True)
        mean, deviation = metric.compute()
    return mean.item(), deviation.item()


def feature_distances(x: Tensor, y: Tensor, generator: torch.Generator) -> dict[str, float]:
    """``fid``, ``kid`` and ``kid_sd`` of two samples of features [N, D] and [M, D]."""
    kid, deviation = kernel_distance(x, y, generator)
    return {"fid": frechet_distance(x, y), "kid": kid, "kid_sd": deviation}
