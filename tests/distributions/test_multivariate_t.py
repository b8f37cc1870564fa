"""Student's t of vectors: against scipy, and against its own construction."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from vae_hydra.distributions import MultivariateT, ValuesOfT, parameters, with_parameters

LOC, SCALE = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.5, 1.0, 3.0])


def example(df: float) -> MultivariateT:
    return MultivariateT(torch.tensor([df]).double(), LOC.double(), SCALE.double())


@pytest.mark.parametrize("df", [0.7, 2.5, 9.0, 300.0])
def test_the_density_is_scipys(df):
    x = 5 * torch.randn(50, 3, dtype=torch.float64)
    expected = stats.multivariate_t(LOC, np.diag(SCALE.numpy() ** 2), df=df).logpdf(x.numpy())
    torch.testing.assert_close(example(df).log_prob(x), torch.from_numpy(expected))


def test_for_many_degrees_of_freedom_it_is_normal_in_single_precision():
    x = LOC + SCALE * torch.randn(50, 3)
    q = MultivariateT(torch.tensor([1e7]), LOC, SCALE)
    torch.testing.assert_close(q.log_prob(x), torch.distributions.Normal(LOC, SCALE).log_prob(x).sum(-1))


@pytest.mark.parametrize("df", [1.5, 6.0])
def test_draws_have_t_margins_and_one_common_chi_square(df):
    """Of (x − m)/s: each value is t(ν), and the mean square of all three is F(3, ν)."""
    u = (example(df).rsample(torch.Size([20_000])) - LOC) / SCALE
    for value in u.T:
        assert stats.kstest(value.numpy(), stats.t(df).cdf).pvalue > 1e-3
    assert stats.kstest(u.square().mean(-1).numpy(), stats.f(3, df).cdf).pvalue > 1e-3


def test_moments_exist_where_they_do():
    assert example(4.0).mean.tolist() == LOC.tolist()
    assert example(4.0).variance.tolist() == (2 * SCALE.square()).tolist()
    assert example(1.0).mean.isnan().all()
    assert example(1.0).mode.tolist() == LOC.tolist()
    assert example(2.0).variance.tolist() == [math.inf] * 3


def test_gradients_of_a_draw_are_those_of_the_location_and_the_scale():
    loc, scale = LOC.clone().requires_grad_(), SCALE.clone().requires_grad_()
    draw = MultivariateT(torch.tensor([5.0]), loc, scale).rsample(torch.Size([100]))
    by_loc, by_scale = torch.autograd.grad(draw.sum(), [loc, scale])
    assert by_loc.tolist() == [100] * 3
    torch.testing.assert_close(by_scale, ((draw - loc) / scale).sum(0).detach())


def test_shapes_and_parameters():
    q = MultivariateT(torch.tensor([5.0]), torch.zeros(2, 4, 3), torch.ones(3))
    assert (q.batch_shape, q.event_shape) == ((2, 4), (3,))
    assert q.rsample(torch.Size([6])).shape == (6, 2, 4, 3)
    assert {name: tuple(value.shape) for name, value in parameters(q).items()} == {
        "df": (2, 4, 1),
        "loc": (2, 4, 3),
        "scale": (2, 4, 3),
    }
    x = torch.randn(2, 4, 3)
    torch.testing.assert_close(with_parameters(q, parameters(q)).log_prob(x), q.log_prob(x))
    torch.testing.assert_close(q.expand([5, 2, 4]).log_prob(x)[3], q.log_prob(x))
    with pytest.raises(ValueError, match="df"):
        MultivariateT(torch.tensor([-1.0]), LOC, SCALE, validate_args=True)


@pytest.mark.parametrize("shape", [(4,), (1, 2, 3)])
def test_values_of_an_example_have_the_density_of_the_whole(shape):
    df, scale = torch.tensor(3.0), torch.tensor([0.5, 2.0]).reshape(2, *[1] * len(shape))
    loc, x = torch.randn(2, *shape), torch.randn(2, *shape)
    values = ValuesOfT(df, loc, scale, len(shape))
    whole = MultivariateT(df.reshape(1), loc.reshape(2, -1), scale.reshape(2, 1).expand(2, loc[0].numel()))
    found = values.log_prob(x)
    assert found.shape == x.shape
    torch.testing.assert_close(found.reshape(2, -1).sum(-1), whole.log_prob(x.reshape(2, -1)))
    # The first value has no former ones.
    first = torch.distributions.StudentT(3.0, loc.reshape(2, -1)[:, 0], scale.flatten())
    torch.testing.assert_close(found.reshape(2, -1)[:, 0], first.log_prob(x.reshape(2, -1)[:, 0]))
    again = with_parameters(values, parameters(values)).log_prob(x)
    torch.testing.assert_close(again, found)


def test_values_of_an_example_share_their_chi_square():
    p = ValuesOfT(torch.tensor(4.0), torch.zeros(1, 2, 3), torch.tensor(2.0), event_dims=2)
    x = p.sample(torch.Size([20_000])).reshape(-1, 6)
    assert stats.kstest((x / 2).square().mean(-1).numpy(), stats.f(6, 4.0).cdf).pvalue > 1e-3
    assert p.mean.eq(0).all()
    assert p.variance.eq(8).all()
