"""Likelihoods of data in [0, 1]."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Bernoulli, Distribution

from vae_hydra.distributions import ContinuousBernoulli
from vae_hydra.model.likelihoods.base import Likelihood


class BernoulliLikelihood(Likelihood):
    """p(x|z) = Bernoulli with the decoder's output as logits.

    For x strictly between 0 and 1, −log p is the usual binary cross-entropy, which is not that of a normalised
    density. ``ContinuousBernoulliLikelihood`` is normalised on [0, 1].

    >>> import torch
    >>> BernoulliLikelihood()(torch.zeros(2)).log_prob(torch.tensor([1.0, 0.5]))  # −ln 2
    tensor([-0.6931, -0.6931])
    """

    unit_interval = True
    needs_binary_to_be_normalised = True

    def forward(self, features: Tensor) -> Distribution:
        return Bernoulli(logits=features, validate_args=False)


class ContinuousBernoulliLikelihood(Likelihood):
    """p(x|z) = ContinuousBernoulli with the decoder's output as logits, a density on [0, 1].

    Source: Loaiza-Ganem and Cunningham, "The continuous Bernoulli: fixing a pervasive error in
    variational autoencoders", 2019.

    >>> import torch
    >>> ContinuousBernoulliLikelihood()(torch.zeros(2)).log_prob(torch.tensor([1.0, 0.5]))  # uniform
    tensor([0., 0.])
    """

    unit_interval = True

    def forward(self, features: Tensor) -> Distribution:
        return ContinuousBernoulli(logits=features, validate_args=False)
