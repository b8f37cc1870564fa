"""Quantiles and parameters by name, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import Gamma, Gumbel, Laplace, LogNormal, Normal, Pareto, Poisson

from tests.support.reference import frozen
from vae_hydra.distributions import Delta, InverseGaussian, StudentT, Weibull, parameters, quantile, with_parameters

FAMILIES = [
    Normal(torch.tensor([0.0, -1.0]), torch.tensor([1.0, 3.0])),
    Laplace(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.2])),
    LogNormal(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.3])),
    Gamma(torch.tensor([2.0, 0.4]), torch.tensor([2.0, 5.0])),
    Weibull(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.4])),
    InverseGaussian(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.1])),
    StudentT(torch.tensor([5.0, 1.5]), torch.tensor([0.0, 1.0]), torch.tensor([1.0, 2.0])),
]
PROBABILITIES = torch.tensor([[0.001], [0.1], [0.5], [0.8], [0.999]], dtype=torch.float64)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: type(f).__name__)
def test_quantiles_are_scipys_and_broadcast(family):
    found = quantile(family, PROBABILITIES)
    assert found.shape == (5, 2)
    for i in range(2):
        one = with_parameters(family, {name: value[i] for name, value in parameters(family).items()})
        expected = frozen(one).ppf(PROBABILITIES[:, 0].numpy())
        np.testing.assert_allclose(found[:, i].numpy(), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: type(f).__name__)
def test_a_family_comes_back_from_its_parameters_by_name(family):
    again = with_parameters(family, parameters(family))
    assert type(again) is type(family)
    assert torch.equal(again.log_prob(torch.tensor(0.7)), family.log_prob(torch.tensor(0.7)))
    # A degree of freedom shared by all latents is there for each.
    assert all(value.shape == family.batch_shape for value in parameters(family).values())


def test_a_point_is_its_own_quantile_and_others_use_their_own():
    assert quantile(Delta(torch.tensor([1.0, 2.0])), torch.tensor([[0.1], [0.9]])).tolist() == [[1, 2], [1, 2]]
    for family in (Gumbel(0.0, 1.0), Pareto(1.0, 2.0)):
        p = torch.tensor([0.1, 0.9])
        torch.testing.assert_close(family.cdf(quantile(family, p)), p)


def test_a_family_without_quantiles_is_named():
    with pytest.raises(ValueError, match="Poisson has no quantiles: give it a method icdf"):
        quantile(Poisson(1.0), torch.tensor(0.5))
