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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_delta_has_the_dtype_of_its_argument(dtype):
    point = torch.tensor([1.0, 2.0], dtype=dtype)
    delta, other = Delta(point), torch.tensor([[1.0], [3.0]], dtype=torch.float64)
    moments, others = [delta.mean, delta.variance, delta.entropy()], [delta.rsample(), delta.icdf(other / 4)]
    assert {value.dtype for value in [*moments, *others, delta.log_prob(point)]} == {dtype}
    assert delta.log_prob(other).dtype == torch.float64
    assert delta.log_prob(other).tolist() == [[0, -torch.inf], [-torch.inf, -torch.inf]]
    assert delta.icdf(other / 4).tolist() == [[1, 2], [1, 2]]
    assert delta.entropy().tolist() == [0, 0]


def test_delta_of_an_integer_is_real():
    delta = Delta(3)
    assert delta.mean.dtype == torch.get_default_dtype()
    assert delta.log_prob(torch.tensor(2.0)).item() == -torch.inf


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


@pytest.mark.parametrize("scale", [torch.tensor(0.3), torch.rand(2, 1, 1, 1) + 0.1], ids=["one", "of a stack"])
def test_sums_of_a_homoscedastic_normal_are_those_of_normal(scale):
    x, loc = torch.randn(2, 2, 5, 3, 4).double()
    scale = scale.double().requires_grad_()
    sums = HomoscedasticNormal(loc, scale).event_log_prob(x, 2), Normal(loc, scale).log_prob(x).sum((-2, -1))
    torch.testing.assert_close(*sums)
    torch.testing.assert_close(*(torch.autograd.grad(one.sum(), scale)[0] for one in sums))


def test_homoscedastic_normal_is_normal():
    loc, scale = torch.randn(3, 4), torch.tensor(0.3, requires_grad=True)
    x = torch.randn(3, 4)
    ours = HomoscedasticNormal(loc, scale)
    exact = Normal(loc, scale)
    torch.testing.assert_close(ours.log_prob(x), exact.log_prob(x))
    gradients = [torch.autograd.grad(d.log_prob(x).sum(), scale)[0] for d in (ours, exact)]
    torch.testing.assert_close(*gradients)
    wide, x = ours.expand(torch.Size((2, 3, 4))), torch.randn(2, 3, 4)
    assert isinstance(wide, HomoscedasticNormal)
    assert wide.batch_shape == wide.mean.shape == wide.rsample().shape == (2, 3, 4)
    torch.testing.assert_close(wide.log_prob(x), exact.log_prob(x))
    with pytest.raises(ValueError, match="support"):
        HomoscedasticNormal(loc, scale.detach(), validate_args=True).log_prob(torch.full((3, 4), torch.nan))
