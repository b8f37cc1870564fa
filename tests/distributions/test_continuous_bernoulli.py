"""The continuous Bernoulli's mean against quadrature, and its digits in single precision."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.integrate import quad
from torch.distributions import ContinuousBernoulli as TorchContinuousBernoulli

from vae_hydra.distributions import ContinuousBernoulli


def exact_mean(logit: float) -> float:
    """By quadrature of x·e^(a·x), which needs no normaliser in closed form."""
    moment, _ = quad(lambda x: x * math.exp(logit * x), 0, 1, epsabs=1e-12)
    weight, _ = quad(lambda x: math.exp(logit * x), 0, 1, epsabs=1e-12)
    return moment / weight


@pytest.mark.parametrize("size", [0.0, 1e-6, 0.0042, 0.1, 0.4999, 0.5001, 1.0, 5.0, 20.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_mean_in_single_precision(size, sign):
    logit = torch.tensor(sign * size)
    # torch's is off by 0.003 at the third.
    assert ContinuousBernoulli(logits=logit).mean.item() == pytest.approx(exact_mean(logit.item()), abs=5e-7)


def test_everything_else_is_torchs():
    p = ContinuousBernoulli(torch.rand(3, 4))
    x = torch.rand(3, 4)
    assert torch.equal(p.log_prob(x), TorchContinuousBernoulli(p.probs).log_prob(x))
    wide = p.expand(torch.Size((2, 3, 4)))
    assert isinstance(wide, ContinuousBernoulli)
    assert torch.equal(wide.mean, p.mean.expand(2, 3, 4))


def test_gradient_is_finite_everywhere():
    logits = torch.tensor([-80.0, -0.5, 0.0, 0.5, 80.0], requires_grad=True)
    ContinuousBernoulli(logits=logits).mean.sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[2] == pytest.approx(1 / 12)
