"""The Weibull against scipy, and where single precision ends."""

from __future__ import annotations

import pytest
import scipy.stats
import torch

from tests.support.reference import frozen
from vae_hydra.distributions import Weibull

PARAMETERS = [(1.0, 1.0), (2.0, 0.5), (0.3, 5.0)]


@pytest.mark.parametrize(("scale", "concentration"), PARAMETERS)
def test_density_and_draws_match_scipy(scale, concentration):
    q = Weibull(torch.tensor(scale, dtype=torch.float64), torch.tensor(concentration, dtype=torch.float64))
    exact = frozen(q)
    x = exact.ppf([1e-9, 0.01, 0.5, 0.99, 1 - 1e-9])
    torch.testing.assert_close(q.log_prob(torch.from_numpy(x)), torch.from_numpy(exact.logpdf(x)))
    assert scipy.stats.kstest(q.sample((20_000,)).numpy(), exact.cdf).pvalue > 1e-3
    wide = q.expand(torch.Size((3, 4)))
    assert isinstance(wide, Weibull)
    assert wide.rsample((2,)).shape == (2, 3, 4)


@pytest.mark.parametrize("concentration", [0.01, 0.1, 5.0])
def test_single_precision_stays_finite(concentration):
    parameters = torch.tensor([1.0, concentration], requires_grad=True)
    q = Weibull(*parameters)
    draws = q.rsample((100_000,))
    assert (draws > 0).all()
    assert (q.sample((100_000,)) > 0).all()
    if concentration >= 0.1:
        ratio = q.log_prob(draws) - Weibull(1.0, 5.0).log_prob(draws.clamp(max=1.0))
        assert ratio.isfinite().all()
        assert torch.autograd.grad(ratio.mean() + draws.mean(), parameters)[0].isfinite().all()


def test_a_value_outside_the_support_is_refused():
    with pytest.raises(ValueError, match="support"):
        Weibull(1.0, 1.0, validate_args=True).log_prob(torch.tensor(-1.0))
