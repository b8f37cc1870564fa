"""Test-set measures: pure functions of one batch, and their mean over many."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torchmetrics import Metric


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
    """Cross-entropy per example [nats] over the share of examples that have a label.

    Its mean over all examples is the mean over the labelled ones, in every batch in expectation: the number of
    labels that a batch happens to hold does not change what they weigh.

    Args:
        logits: [..., classes].
        y: labels [...]; −1 for an example without one, whose term is 0.
        share: of examples with a label, in (0, 1].
    """
    log_probability = logits.log_softmax(-1).gather(-1, y.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return -log_probability * (y >= 0).to(logits.dtype) / share


def accuracy(logits: Tensor, y: Tensor) -> Tensor:
    """1 for an example [...] whose greatest logit [..., classes] is that of its label, else 0."""
    return (logits.argmax(-1) == y).to(logits.dtype)


RECONSTRUCTION_MEASURES = {"half_sse": half_sse, "mse_per_pixel": mse_per_pixel, "l1_per_pixel": l1_per_pixel}


def reconstruction_measures(reconstruction: Tensor, x: Tensor, event_dims: int) -> dict[str, Tensor]:
    """All of ``RECONSTRUCTION_MEASURES`` by name, each of shape [B]."""
    return {name: measure(reconstruction, x, event_dims) for name, measure in RECONSTRUCTION_MEASURES.items()}


class MeanOverExamples(Metric):
    """Mean over all examples of several per-example terms, accumulated on the device as one vector.

    Its state is part of a checkpoint, so that an epoch that was cut off goes on with its sums.

    Args:
        sizes: for each term its number of values per example: 1 for shape [B], n for [B, n].
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
        """Mean of each term: a vector of n, which torchmetrics turns into a scalar where n is 1."""
        means = (self.total / self.count).split(list(self.sizes.values()))
        return dict(zip(self.sizes, means, strict=True))
