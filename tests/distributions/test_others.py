"""The point, the constant and the one-scale distribution."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Bernoulli, Gamma, LogNormal, Normal, StudentT, Uniform, Weibull

from vae_hydra.distributions import Delta, FixedDistribution, HomoscedasticNormal, InverseGaussian


def test_delta_returns_its_point_and_passes_gradients():
    loc = torch.tensor([1.0, 2.0], requires_grad=True)
    delta = Delta(loc)
    assert delta.rsample((3,)).shape == (3, 2)
    delta.rsample().sum().backward()
    assert loc.grad.tolist() == [1, 1]
    assert delta.variance.tolist() == [0, 0]
    assert delta.log_prob(torch.tensor([1.0, 0.0])).tolist() == [0, -torch.inf]
    assert delta.expand(torch.Size((4, 2))).mean.shape == delta.expand(torch.Size((4, 2))).mode.shape == (4, 2)


@pytest.mark.parametrize(
    "distribution",
    [
        Normal(0.5, 2.0),
        LogNormal(0.5, 0.3),
        Uniform(0.0, 2.0),
        InverseGaussian(1.0, 3.0),
        StudentT(4.0, 1.0, 2.0),
        Gamma(2.0, 3.0),
        Weibull(2.0, 3.0),
        Bernoulli(probs=torch.tensor(0.3)),
        Bernoulli(logits=torch.tensor(0.3)),
    ],
    ids=lambda d: type(d).__name__,
)
def test_fixed_distribution_rebuilds_any_family_in_any_dtype(distribution):
    module = FixedDistribution(distribution)
    x = torch.tensor([1.0])
    torch.testing.assert_close(module().log_prob(x), distribution.log_prob(x))
    assert module.double()().sample((2,)).dtype == torch.float64
    assert not module.state_dict()


def test_fixed_distribution_refuses_what_is_none():
    with pytest.raises(ValueError, match="expected a torch.distributions.Distribution, but got 3"):
        FixedDistribution(3)


def test_homoscedastic_normal_is_normal():
    loc, scale = torch.randn(3, 4), torch.tensor(0.3, requires_grad=True)
    x = torch.randn(3, 4)
    ours = HomoscedasticNormal(loc, scale)
    exact = Normal(loc, scale)
    torch.testing.assert_close(ours.log_prob(x), exact.log_prob(x))
    gradients = [torch.autograd.grad(d.log_prob(x).sum(), scale)[0] for d in (ours, exact)]
    torch.testing.assert_close(*gradients)
    with pytest.raises(ValueError, match="support"):
        HomoscedasticNormal(loc, scale.detach(), validate_args=True).log_prob(torch.full((3, 4), torch.nan))
