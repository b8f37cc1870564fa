"""Estimators of the shape of tails, and dependence of tails, against theory and quadrature."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch

from vae_hydra.distributions.tails import hill_statistic, pairs_of_columns, tail_count, tail_dependence, tail_shapes

DISTRIBUTIONS = {
    "pareto": (scipy.stats.pareto(2.0), 0.5),
    "generalised_pareto": (scipy.stats.genpareto(0.3), 0.3),
    "exponential": (scipy.stats.expon(), 0.0),
    "end_point": (scipy.stats.genpareto(-0.3), -0.3),
    "student_t": (scipy.stats.t(4.0), 0.25),
    "normal": (scipy.stats.norm(), 0.0),
}


def largest(distribution, share: float, count: int = 4000) -> torch.Tensor:
    """The ``count`` + 1 largest values of a sample that consists of a distribution's quantiles."""
    middles = (np.arange(count) + 0.5) / count
    return torch.from_numpy(distribution.isf(share * np.append(middles, 1.0)))


def estimates(values: torch.Tensor, count: int) -> dict[str, float]:
    return {name: shape.item() for name, shape in tail_shapes(values, torch.tensor([count])).items()}


def population(distribution, share: float) -> dict[str, float]:
    """What the estimators tend to at a fixed share of the values, by quadrature."""
    t = distribution.isf(share)
    m1, m2 = (
        scipy.integrate.quad(lambda u: np.log(distribution.isf(share * u) / t) ** power, 0, 1, limit=500)[0]  # noqa: B023
        for power in (1, 2)
    )
    near, middle, far = (distribution.isf(share * part) for part in (0.25, 0.5, 1))
    pickands = math.log2((near - middle) / (middle - far))
    return {"hill": m1, "pickands": pickands, "moment": m1 + 1 - 0.5 / (1 - m1**2 / m2)}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_estimates_from_quantiles_are_those_of_the_population(name):
    distribution, _ = DISTRIBUTIONS[name]
    expected = population(distribution, 0.01)
    # Sums stand for integrals: the error is that of the midpoint rule next to an infinite value.
    assert estimates(largest(distribution, 0.01), 4000) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("name", ["pareto", "generalised_pareto", "exponential", "end_point", "student_t"])
def test_estimates_tend_to_the_shape_far_out(name):
    distribution, xi = DISTRIBUTIONS[name]
    far = estimates(largest(distribution, 1e-12), 4000)
    assert far["pickands"] == pytest.approx(xi, abs=2e-3)
    # ln X of a light tail moves towards its limit as 1/ln n.
    assert far["moment"] == pytest.approx(xi, abs=0.05)
    assert far["hill"] == pytest.approx(max(xi, 0), abs=0.05)


def test_a_normal_tail_is_light_and_its_estimates_approach_0():
    distribution, _ = DISTRIBUTIONS["normal"]
    near, far = (estimates(largest(distribution, share), 4000) for share in (1e-2, 1e-12))
    for name in near:
        assert abs(far[name]) < abs(near[name]) < 0.2


@pytest.mark.parametrize("xi", [-0.25, 0.0, 0.25, 1.0])
def test_estimates_from_draws_are_within_their_standard_errors(xi):
    """Asymptotic variances of Dekkers and de Haan, 1989, and of Dekkers, Einmahl and de Haan, 1989."""
    k = 20_000
    sample = torch.from_numpy(scipy.stats.genpareto(xi).rvs(200_000, random_state=3))
    found = estimates(sample, k)
    slope = math.log(2) if xi == 0 else (2**xi - 1) / xi
    pickands = math.sqrt((2 ** (2 * xi + 1) + 1) / (k / 4)) / (2 * slope * math.log(2))
    assert found["pickands"] == pytest.approx(xi, abs=4 * pickands)
    # The logarithm bends the tail of a generalised Pareto distribution whose location is not its scale over ξ.
    assert found["moment"] == pytest.approx(population(scipy.stats.genpareto(xi), 0.1)["moment"], abs=0.04)


@pytest.mark.parametrize("alpha", [0.8, 2.0, 5.0])
def test_estimates_from_pareto_draws(alpha):
    k, xi = 5000, 1 / alpha
    found = estimates(torch.from_numpy(scipy.stats.pareto(alpha).rvs(100_000, random_state=1)), k)
    assert found["hill"] == pytest.approx(xi, abs=4 * xi / math.sqrt(k))
    assert found["moment"] == pytest.approx(xi, abs=4 * math.sqrt((1 + xi**2) / k))


def test_estimates_over_k_are_those_of_each_k_by_their_formulas():
    values = torch.from_numpy(scipy.stats.t(3.0).rvs(500, random_state=2)) * 1e-3
    counts = torch.tensor([2, 4, 7, 40])
    found = tail_shapes(values, counts)
    ordered = np.sort(values.numpy())[::-1]
    for at, k in enumerate(counts.tolist()):
        logs = np.log(ordered[:k] / ordered[k])
        m1, m2 = logs.mean(), (logs**2).mean()
        assert found["hill"][at].item() == pytest.approx(m1)
        assert found["hill"][at].item() == pytest.approx(1 / hill_statistic(values, k / 500))
        assert found["moment"][at].item() == pytest.approx(m1 + 1 - 0.5 / (1 - m1**2 / m2))
        if k < 4:
            assert not math.isfinite(found["pickands"][at])
            continue
        near, middle, far = (ordered[step * (k // 4) - 1] for step in (1, 2, 4))
        assert found["pickands"][at].item() == pytest.approx(math.log2((near - middle) / (middle - far)))


def test_pickands_alone_does_not_depend_on_location():
    values = torch.from_numpy(scipy.stats.genpareto(0.3).rvs(5000, random_state=0))
    one, moved = estimates(values, 400), estimates(7 * values - 100, 400)
    assert moved["pickands"] == pytest.approx(one["pickands"])
    # The logarithms of negative values do not exist.
    assert math.isnan(moved["hill"])
    assert math.isnan(moved["moment"])


def test_equal_values_have_no_estimate_but_hills():
    found = estimates(torch.full((100,), 2.0), 20)
    assert found["hill"] == 0
    assert math.isnan(found["moment"])
    assert math.isnan(found["pickands"])
    assert hill_statistic(torch.full((100,), 2.0)) == math.inf


def test_the_largest_values_are_a_share_of_them():
    assert [tail_count(size) for size in (100, 1000, 123_456)] == [2, 10, 1234]


def dependence(x, level: float) -> float:
    return tail_dependence(torch.from_numpy(np.asarray(x)), torch.tensor([[0, 1]]), level).item()


def error(chi: float, count: int, level: float) -> float:
    """Four standard deviations of the share of a tail."""
    return 4 * math.sqrt(max(chi * (1 - chi), 1e-3) / (count * (1 - level)))


@pytest.mark.parametrize("level", [0.95, 0.99])
@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.8])
def test_dependence_of_a_gaussian_copula_is_its_integral(rho, level):
    count = 200_000
    x = np.random.default_rng(0).multivariate_normal([0, 0], [[1, rho], [rho, 1]], count)
    quantile = scipy.stats.norm.ppf(level)
    both = scipy.stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]]).cdf([-quantile, -quantile])
    expected = both / (1 - level)
    # Increasing functions of the columns leave ranks as they are.
    assert dependence(np.exp(x) * [1, 1e-4], level) == pytest.approx(expected, abs=error(expected, count, level))
    if rho == 0:
        assert expected == pytest.approx(1 - level)


def test_dependence_of_a_t_copula_tends_to_its_closed_form():
    """λ = 2·T(−√((ν + 1)·(1 − ρ)/(1 + ρ))), T of ν + 1 degrees of freedom (Embrechts, McNeil and Straumann, 2002)."""
    df, rho, count, level = 3.0, 0.5, 400_000, 0.998
    x = scipy.stats.multivariate_t([0, 0], [[1, rho], [rho, 1]], df, seed=1).rvs(count)
    limit = 2 * scipy.stats.t(df + 1).cdf(-math.sqrt((df + 1) * (1 - rho) / (1 + rho)))
    assert limit == pytest.approx(0.3125, abs=5e-4)
    assert dependence(x, level) == pytest.approx(limit, abs=error(limit, count, level) + 0.01)


def test_columns_that_go_together_or_against_each_other():
    x = np.random.default_rng(2).standard_cauchy(1000)
    assert dependence(np.stack([x, np.arctan(x)], 1), 0.95) == 1
    assert dependence(np.stack([x, -x], 1), 0.95) == 0
    # Equal values leave none beyond the quantile.
    assert dependence(np.zeros((100, 2)), 0.95) == 0
    few, five = np.repeat([0, 1], [98, 2]), np.arange(100)
    assert dependence(np.stack([few, five], 1), 0.95) == 1
    assert dependence(np.stack([five, few], 1), 0.95) == pytest.approx(2 / 5)


def test_pairs_are_all_pairs_or_a_seeded_choice_of_them():
    def choose(columns: int, most: int) -> list[tuple[int, int]]:
        return [tuple(pair) for pair in pairs_of_columns(columns, most, torch.Generator().manual_seed(0)).tolist()]

    assert choose(4, 100) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    some = choose(30, 100)
    assert some == choose(30, 100)
    assert len(set(some)) == 100
    assert all(one < other < 30 for one, other in some)
