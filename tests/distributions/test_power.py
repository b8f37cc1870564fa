"""Integrals of powers of densities, by quadrature."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import integrate
from torch.distributions import Bernoulli, Laplace, Normal

from vae_hydra.distributions import (
    ContinuousBernoulli,
    HomoscedasticNormal,
    Huber,
    HyperbolicSecant,
    NoPowerIntegral,
    StudentT,
    log_power,
    log_power_integral,
)

LOC, SCALE = torch.tensor([0.3], dtype=torch.float64), torch.tensor([0.4], dtype=torch.float64)
REAL = {
    "normal": Normal(LOC, SCALE),
    "one scale": HomoscedasticNormal(LOC, SCALE[0]),
    "laplace": Laplace(LOC, SCALE),
    "student_t": StudentT(torch.tensor(1.5).double(), LOC, SCALE),
    "hyperbolic_secant": HyperbolicSecant(LOC, SCALE),
}


def density(p, power):
    return lambda x: (power * p.log_prob(torch.tensor([x], dtype=torch.float64))).exp().item()


@pytest.mark.parametrize("power", [1.0, 1.005, 1.7, 3.0])
@pytest.mark.parametrize("family", REAL)
def test_integrals_over_the_real_line(family, power):
    p = REAL[family]
    halves = [integrate.quad(density(p, power), *ends)[0] for ends in ((-np.inf, 0.3), (0.3, np.inf))]
    found = log_power_integral(p, power)
    assert found.shape == (1,)
    assert found.exp().item() == pytest.approx(sum(halves), rel=1e-6)


@pytest.mark.parametrize("logit", [-40.0, -0.01, 0.0, 3.0])
def test_integrals_over_the_unit_interval(logit):
    p = ContinuousBernoulli(logits=torch.tensor([logit], dtype=torch.float64), validate_args=False)
    expected = integrate.quad(density(p, 1.7), 0, 1, points=[0.05, 0.95])[0]
    assert log_power_integral(p, 1.7).exp().item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("logit", [-40.0, 0.5])
def test_a_sum_over_two_values(logit):
    p = Bernoulli(logits=torch.tensor([logit], dtype=torch.float64), validate_args=False)
    both = log_power(p, torch.tensor([0.0, 1.0], dtype=torch.float64), 1.7)
    torch.testing.assert_close(log_power_integral(p, 1.7), both.logsumexp(0, keepdim=True))
    torch.testing.assert_close(both, 1.7 * p.log_prob(torch.tensor([0.0, 1.0], dtype=torch.float64)))


def test_a_value_between_0_and_1_mixes_both_powers():
    p = Bernoulli(probs=torch.tensor([0.8]), validate_args=False)
    expected = 0.3 * 0.8**0.5 + 0.7 * 0.2**0.5
    assert log_power(p, torch.tensor([0.3]), 0.5).exp().item() == pytest.approx(expected, rel=1e-6)


def test_other_families_are_refused():
    with pytest.raises(NoPowerIntegral, match="power of Huber is known"):
        log_power_integral(Huber(LOC, SCALE, torch.tensor(1.0)), 1.5)
