"""Quantiles and parameters by name, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch
from mpmath import mp
from torch.distributions import Chi2, Gamma, Gumbel, Laplace, LogNormal, Normal, Pareto, Poisson
from torch.distributions import StudentT as TorchStudentT
from torch.distributions import Weibull as TorchWeibull

from tests.support.reference import frozen
from vae_hydra.distributions import (
    Delta,
    HomoscedasticNormal,
    InverseGaussian,
    StudentT,
    Weibull,
    parameters,
    quantile,
    with_parameters,
)

FAMILIES = [
    Normal(torch.tensor([0.0, -1.0]), torch.tensor([1.0, 3.0])),
    Laplace(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.2])),
    LogNormal(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.3])),
    Gamma(torch.tensor([2.0, 0.4]), torch.tensor([2.0, 5.0])),
    HomoscedasticNormal(torch.tensor([0.0, -1.0]), torch.tensor(0.5)),
    Weibull(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.4])),
    TorchWeibull(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 0.4])),
    InverseGaussian(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.1])),
    StudentT(torch.tensor([5.0, 1.5]), torch.tensor([0.0, 1.0]), torch.tensor([1.0, 2.0])),
    TorchStudentT(torch.tensor([5.0, 1.5]), torch.tensor([0.0, 1.0]), torch.tensor([1.0, 2.0])),
]
# Down to the smallest probabilities of each precision, and up to the number before 1.
PROBABILITIES = {
    torch.float32: [1e-30, 1e-12, 1e-6, 0.001, 0.1, 0.3, 0.5, 0.8, 0.999, 1 - 2.0**-20, 1 - 2.0**-24],
    torch.float64: [1e-200, 1e-30, 1e-12, 0.001, 0.1, 0.3, 0.5, 0.8, 0.999, 1 - 1e-12, 1 - 2.0**-53],
}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: type(f).__name__)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_quantiles_are_scipys_and_broadcast(family, dtype, tolerance):
    p = torch.tensor(PROBABILITIES[dtype], dtype=dtype)
    family = with_parameters(family, {name: value.to(dtype) for name, value in parameters(family).items()})
    found = quantile(family, p[:, None])
    assert found.shape == (len(p), 2)
    assert found.dtype == dtype
    for i in range(2):
        exact = frozen(with_parameters(family, {name: value[i] for name, value in parameters(family).items()}))
        lower = p.double().numpy()
        # 1 − p is exact where p > ½, and scipy's isf has the digits of it that its ppf lacks.
        expected = np.where(lower > 0.5, exact.isf(1 - lower), exact.ppf(lower))
        # A median of 0 is one up to rounding.
        rounded = np.where((lower == 0.5) & (np.abs(expected) < 1e-15), 1e-15, 1e-37)
        error = np.abs(found[:, i].double().numpy() - expected)
        assert (error <= tolerance * np.abs(expected) + rounded).all(), (found[:, i], expected)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: type(f).__name__)
def test_a_family_comes_back_from_its_parameters_by_name(family):
    again = with_parameters(family, parameters(family))
    assert type(again) is type(family)
    assert torch.equal(again.log_prob(torch.tensor(0.7)), family.log_prob(torch.tensor(0.7)))
    # A degree of freedom shared by all latents is there for each.
    assert all(value.shape == family.batch_shape for value in parameters(family).values())


def inverse_gaussian_masses(ratio, x):
    """Mass below and above x, with mean 1 and concentration ``ratio``, by mpmath: scipy's ppf fails at 100."""
    with mp.workdps(400):
        x, ratio = mp.mpf(x), mp.mpf(ratio)
        root = mp.sqrt(ratio / x)
        below = mp.ncdf(root * (x - 1)) + mp.exp(2 * ratio) * mp.ncdf(-root * (x + 1))
        return float(below), float(1 - below)


@pytest.mark.parametrize("ratio", [1e-4, 1e-2, 1.0, 1e2, 1e4])
def test_far_quantiles_of_any_inverse_gaussian_leave_their_mass(ratio):
    q = InverseGaussian(torch.tensor(1.0, dtype=torch.float64), ratio)
    for mass in (1e-200, 1e-30, 1e-12, 1e-6, 0.1):
        found = q.icdf(torch.tensor(mass, dtype=torch.float64)).item()
        assert inverse_gaussian_masses(ratio, found)[0] == pytest.approx(mass, rel=1e-9)
    for mass in (2.0**-53, 2.0**-40, 2.0**-20, 0.125):
        found = q.icdf(torch.tensor(1 - mass, dtype=torch.float64)).item()
        assert inverse_gaussian_masses(ratio, found)[1] == pytest.approx(mass, rel=1e-9)


def test_a_subclass_has_the_quantiles_of_its_base_unless_it_has_its_own():
    class Shifted(Normal):
        def icdf(self, value):
            return super().icdf(value) + 1

    p = torch.tensor([0.2, 0.7])
    torch.testing.assert_close(quantile(Shifted(0.0, 1.0), p), Normal(1.0, 1.0).icdf(p))
    chi2 = torch.tensor(scipy.stats.chi2(3).ppf(p.numpy()), dtype=torch.float32)
    torch.testing.assert_close(quantile(Chi2(torch.tensor(3.0)), p), chi2)


def test_a_point_is_its_own_quantile_and_others_use_their_own():
    assert quantile(Delta(torch.tensor([1.0, 2.0])), torch.tensor([[0.1], [0.9]])).tolist() == [[1, 2], [1, 2]]
    for family in (Gumbel(0.0, 1.0), Pareto(1.0, 2.0)):
        p = torch.tensor([0.1, 0.9])
        torch.testing.assert_close(family.cdf(quantile(family, p)), p)


def test_a_family_without_quantiles_is_named():
    with pytest.raises(ValueError, match="Poisson has no quantiles: give it a method icdf"):
        quantile(Poisson(1.0), torch.tensor(0.5))
