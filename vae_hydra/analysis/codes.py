"""Measures of latent codes: how well they separate classes, and what two models' codes share."""

from __future__ import annotations

from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import silhouette_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

# A latent is inactive if the variance of its code over the examples is at most this.
ACTIVE_VARIANCE = 0.01
# The silhouette compares every pair of examples, so it uses only this many.
SILHOUETTE_EXAMPLES = 5000
# Codes beyond it, such as infinite means of a heavy-tailed posterior, count as being there: their squares are finite.
FARTHEST = 1e30


def latent_measures(train: Tensor, train_y: Tensor, test: Tensor, test_y: Tensor) -> dict[str, float]:
    """Active units of test codes [M, L]; with two or more classes also both accuracies and the silhouette.

    Measures of classes are of codes with a label; outliers have −1. The classifiers learn from training codes [N, L].
    """
    train, test = (codes.double().clamp(-FARTHEST, FARTHEST) for codes in (train, test))
    measures = {"active_units": float(active_units(test))}
    train, train_y = train[train_y >= 0], train_y[train_y >= 0]
    test, test_y = test[test_y >= 0], test_y[test_y >= 0]
    if len(torch.unique(test_y)) < 2:
        return measures
    return measures | {
        "knn_accuracy": knn_accuracy(train, train_y, test, test_y),
        "linear_accuracy": linear_accuracy(train, train_y, test, test_y),
        "silhouette": silhouette(test, test_y),
    }


def active_units(codes: Tensor) -> int:
    """Number of latents whose posterior mean has a variance above 0.01 over the examples [N, L].

    Source: Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", 2016.
    """
    return int((codes.double().var(0) > ACTIVE_VARIANCE).sum())


def knn_accuracy(train: Tensor, train_y: Tensor, test: Tensor, test_y: Tensor, neighbours: int = 10) -> float:
    """Accuracy on test codes [M, L] of a majority vote of the nearest training codes [N, L]."""
    model = KNeighborsClassifier(min(neighbours, len(train))).fit(train.numpy(), train_y.numpy())
    return float(model.score(test.numpy(), test_y.numpy()))


def linear_accuracy(train: Tensor, train_y: Tensor, test: Tensor, test_y: Tensor) -> float:
    """Accuracy on test codes [M, L] of a logistic regression on standardised training codes [N, L]."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return float(model.fit(train.numpy(), train_y.numpy()).score(test.numpy(), test_y.numpy()))


def silhouette(codes: Tensor, y: Tensor) -> float:
    """Mean of (b − a)/max(a, b) over the first 5,000 codes [N, L], in [−1, 1]; 1 for tight classes far apart.

    a is a code's mean distance to its own class, b to the nearest other class.

    Source: Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster analysis", 1987.
    """
    return float(silhouette_score(codes[:SILHOUETTE_EXAMPLES].numpy(), y[:SILHOUETTE_EXAMPLES].numpy()))


class Correlation(NamedTuple):
    """Correlations of two sets of codes.

    All use ranks, so an increasing map of a latent, such as exp, changes nothing.

    Attributes:
        spearman: Spearman's correlation of each latent of one set with each of the other, [L₁, L₂].
        matched: mean |Spearman| over the best one-to-one assignment of latents, in [0, 1].
        canonical: mean canonical correlation, in [0, 1]; 1 where the ranks of one set are linear in those of the other.
        cka: linear centred kernel alignment, in [0, 1]. It weights directions by their variance, and among linear maps
            only rotations leave it unchanged.
    """

    spearman: Tensor
    matched: float
    canonical: float
    cka: float


def correlate(first: Tensor, second: Tensor) -> Correlation:
    """Correlations of codes [N, L₁] and [N, L₂] of the same N examples in the same order, N > L₁, L₂.

    A constant latent has correlation 0 with every other.

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


def chance_correlation(first: Tensor, second: Tensor, seed: int = 0) -> Correlation:
    """Correlations after shuffling the examples of ``second``: the level of unrelated codes, above 0 for small N."""
    order = torch.randperm(len(second), generator=torch.Generator().manual_seed(seed))
    return correlate(first, second[order])


def _standardised_ranks(codes: Tensor) -> Tensor:
    """Ranks of each latent [N, L], centred and of length 1; 0 for a constant latent."""
    ranks = torch.from_numpy(rankdata(codes.double().numpy(), axis=0))
    centred = ranks - ranks.mean(0)
    return centred / centred.norm(dim=0).clamp(min=1e-12)


def _canonical(a: Tensor, b: Tensor) -> Tensor:
    """Canonical correlations: singular values of Qₐᵀ·Q_b, with Q an orthonormal basis of the column space."""
    bases = [left[:, values > 1e-8] for left, values, _ in (torch.linalg.svd(x, full_matrices=False) for x in (a, b))]
    correlations = torch.linalg.svdvals(bases[0].T @ bases[1]).clamp(max=1)
    return correlations if len(correlations) else torch.zeros(1)
