"""What codes know about classes, and how many latents carry anything."""

from __future__ import annotations

from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

# A latent whose code varies less than this over the examples is inactive.
ACTIVE_VARIANCE = 0.01
# Silhouettes compare every pair of examples.
SILHOUETTE_EXAMPLES = 5000


def active_units(codes: Tensor) -> int:
    """Number of latents whose posterior mean varies by more than 0.01 over the examples [N, L].

    Source: Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", 2016.
    """
    return int((codes.double().var(0) > ACTIVE_VARIANCE).sum())


def knn_accuracy(train: Tensor, train_y: Tensor, test: Tensor, test_y: Tensor, neighbours: int = 10) -> float:
    """Share of test codes [M, L] whose class most of their nearest training codes [N, L] have."""
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(min(neighbours, len(train))).fit(train.numpy(), train_y.numpy())
    return float(model.score(test.numpy(), test_y.numpy()))


def linear_accuracy(train: Tensor, train_y: Tensor, test: Tensor, test_y: Tensor) -> float:
    """Share of test codes [M, L] whose class a logistic regression on standardised training codes [N, L] finds."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return float(model.fit(train.numpy(), train_y.numpy()).score(test.numpy(), test_y.numpy()))


def silhouette(codes: Tensor, y: Tensor) -> float:
    """Mean over examples of (b − a)/max(a, b), in [−1, 1]: a is the mean distance to codes [N, L] of its own class, b
    to those of the nearest other one; 1 for tight classes far apart. The first 5,000 examples are used.

    Source: Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster analysis", 1987.
    """
    from sklearn.metrics import silhouette_score

    return float(silhouette_score(codes[:SILHOUETTE_EXAMPLES].numpy(), y[:SILHOUETTE_EXAMPLES].numpy()))


def latent_measures(train: Tensor, train_y: Tensor, test: Tensor, test_y: Tensor) -> dict[str, float]:
    """All of the above for codes [N, L] and [M, L]; those about classes only where there are two or more."""
    measures = {"active_units": float(active_units(test))}
    if len(torch.unique(test_y)) < 2:
        return measures
    return measures | {
        "knn_accuracy": knn_accuracy(train, train_y, test, test_y),
        "linear_accuracy": linear_accuracy(train, train_y, test, test_y),
        "silhouette": silhouette(test, test_y),
    }


class Correlation(NamedTuple):
    """What two sets of codes share; all of ranks, so that an increasing map of a latent, such as exp, changes nothing.

    Attributes:
        spearman: Spearman's correlation of every latent of the one with every one of the other, [L₁, L₂].
        matched: mean of its absolute values over the best assignment of latents one to one, in [0, 1].
        canonical: mean canonical correlation, in [0, 1]: 1 where the ranks are linear functions of one another.
        cka: linear centred kernel alignment, in [0, 1]: unlike ``canonical`` it weighs directions by their variance and
            sees through rotations only.
    """

    spearman: Tensor
    matched: float
    canonical: float
    cka: float


def correlate(first: Tensor, second: Tensor) -> Correlation:
    """Compare codes [N, L₁] and [N, L₂] of the same N examples in the same order, N > L₁, L₂.

    A latent that does not vary at all correlates with nothing.

    Raises:
        ValueError: for codes of different, or too few, examples.

    Source: Hotelling, "Relations between two sets of variates", 1936; Kornblith et al., "Similarity of neural network
    representations revisited", 2019.
    """
    if len(first) != len(second) or len(first) <= max(first.shape[1], second.shape[1]):
        raise ValueError(
            f"codes to correlate must be of the same examples, more than there are latents, but got "
            f"{tuple(first.shape)} and {tuple(second.shape)}"
        )
    a, b = _standardised_ranks(first), _standardised_ranks(second)
    spearman = a.T @ b
    pairs = linear_sum_assignment(-spearman.abs().numpy())
    cross = spearman.square().sum()
    alignment = cross / ((a.T @ a).norm() * (b.T @ b).norm()).clamp(min=torch.finfo(a.dtype).tiny)
    return Correlation(spearman, spearman.abs()[pairs].mean().item(), _canonical(a, b).mean().item(), alignment.item())


def by_chance(first: Tensor, second: Tensor, seed: int = 0) -> Correlation:
    """The same for the second's examples in random order, where nothing is shared: not 0 with few examples."""
    order = torch.randperm(len(second), generator=torch.Generator().manual_seed(seed))
    return correlate(first, second[order])


def _standardised_ranks(codes: Tensor) -> Tensor:
    """Columns of mean 0 and length 1, or 0 where a latent is constant."""
    from scipy.stats import rankdata

    ranks = torch.from_numpy(rankdata(codes.double().numpy(), axis=0))
    centred = ranks - ranks.mean(0)
    return centred / centred.norm(dim=0).clamp(min=1e-12)


def _canonical(a: Tensor, b: Tensor) -> Tensor:
    """Canonical correlations: singular values of Qₐᵀ·Q_b, Q an orthonormal basis of what the columns span."""
    bases = [left[:, values > 1e-8] for left, values, _ in (torch.linalg.svd(x, full_matrices=False) for x in (a, b))]
    found = torch.linalg.svdvals(bases[0].T @ bases[1]).clamp(max=1)
    return found if len(found) else torch.zeros(1)
