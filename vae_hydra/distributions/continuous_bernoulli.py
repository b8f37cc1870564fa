"""The continuous Bernoulli with a mean that keeps its digits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import ContinuousBernoulli as TorchContinuousBernoulli

# |logit| below which the mean is its series: there the difference of its two terms loses digits.
_NEAR = 0.5


class ContinuousBernoulli(TorchContinuousBernoulli):
    """torch's ContinuousBernoulli(probs or logits), whose mean in single precision is off by up to 0.003 near λ = ½.

    Source: Loaiza-Ganem and Cunningham, "The continuous Bernoulli: fixing a pervasive error in variational
    autoencoders", 2019.
    """

    @property
    def mean(self) -> Tensor:
        """1/(1 − e^(−a)) − 1/a, with a the logit; near 0, ½ + a/12 − a³/720 + a⁵/30240 − a⁷/1209600."""
        is_near = self.logits.abs() < _NEAR
        near, far = torch.where(is_near, self.logits, 0), torch.where(is_near, 1, self.logits)
        square = near.square()
        series = 0.5 + near * (1 / 12 - square * (1 / 720 - square * (1 / 30240 - square / 1209600)))
        return torch.where(is_near, series, -1 / torch.expm1(-far) - 1 / far)
