"""What codes know about classes, and how many latents carry anything."""

from __future__ import annotations

import torch
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
