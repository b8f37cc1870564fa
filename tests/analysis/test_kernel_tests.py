"""The kernel tests in tiles and in linear time, against their definitions and a closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch

from vae_hydra.analysis import kernel_tests
from vae_hydra.analysis.kernel_tests import kernel_matrix, linear_mmd_permutation_test, mmd_permutation_test


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def whole_matrix(x, y, permutations: int, seed: int) -> tuple[float, float]:
    """The test from the whole kernel matrix, one assignment at a time."""
    n, m = len(x), len(y)
    kernel = kernel_matrix(torch.cat([x, y]).double()).numpy()
    random = generator(seed)
    orders = [np.arange(n + m), *(torch.randperm(n + m, generator=random).numpy() for _ in range(permutations))]
    values = []
    for order in orders:
        # The place of an example in the order decides its sample.
        in_x = (np.arange(n + m) < n)[order]
        xx, yy, xy = kernel[np.ix_(in_x, in_x)], kernel[np.ix_(~in_x, ~in_x)], kernel[np.ix_(in_x, ~in_x)]
        values.append((xx.sum() - n) / (n * (n - 1)) + (yy.sum() - m) / (m * (m - 1)) - 2 * xy.mean())
    return values[0], (1 + sum(value >= values[0] for value in values[1:])) / (1 + permutations)


@pytest.mark.parametrize("tile", [1, 7, 40, 64, 2048])
def test_tiles_are_the_whole_matrix(tile, monkeypatch):
    torch.manual_seed(2)
    x, y = torch.randn(40, 3), 1.2 * torch.randn(24, 3)
    monkeypatch.setattr(kernel_tests, "TILE", tile)
    mmd, p = mmd_permutation_test(x, y, 30, generator(5))
    expected, expected_p = whole_matrix(x, y, 30, 5)
    assert mmd == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert p == expected_p


def uniform(p_values, steps: int) -> bool:
    """Whether p values in steps, spread within them, are uniform on [0, 1]."""
    spread = np.array(p_values) - np.random.default_rng(0).uniform(0, 1 / steps, len(p_values))
    return scipy.stats.kstest(spread, "uniform").pvalue > 1e-3


def test_a_width_from_some_examples_leaves_the_test_exact(monkeypatch):
    """The samples differ in size, and the choice must not depend on where an example stands."""
    monkeypatch.setattr(kernel_tests, "KERNEL_EXAMPLES", 5)
    torch.manual_seed(6)
    t = torch.distributions.StudentT(2.0)
    p_values = [
        mmd_permutation_test(t.sample((40, 1)), t.sample((20, 1)), 19, generator(i), 1000)[1] for i in range(300)
    ]
    assert uniform(p_values, 20)


def test_a_width_from_some_examples_is_one_of_both_samples(monkeypatch):
    """A choice by order would take the first sample alone."""
    monkeypatch.setattr(kernel_tests, "KERNEL_EXAMPLES", 10)
    chosen = []
    monkeypatch.setattr(kernel_tests, "_median_distance", lambda x: chosen.append(x) or torch.tensor(1.0))
    mmd_permutation_test(torch.zeros(40, 1), torch.ones(40, 1), 1, generator(), 1000)
    # Hypergeometric: 20 of 80, with a standard deviation of 2.
    assert len(chosen[0]) == 20
    assert chosen[0].mean().item() == pytest.approx(0.5, abs=0.35)


def test_the_number_of_examples_is_a_bound():
    torch.manual_seed(0)
    x, y = torch.randn(300, 1), torch.randn(250, 1) + 1
    some, all_of_them = mmd_permutation_test(x, y, 1, generator(), 100), mmd_permutation_test(x, y, 1, generator())
    assert some == mmd_permutation_test(x[:100], y[:100], 1, generator())
    assert some != all_of_them == mmd_permutation_test(x, y, 1, generator(), 300)


def quadruple(x, y) -> list[float]:
    """Squared distances (x, x′), (y, y′), (x, y′), (x′, y)."""
    pairs = ((x[0], x[1]), (y[0], y[1]), (x[0], y[1]), (x[1], y[0]))
    return [float(((one - other) ** 2).sum()) for one, other in pairs]


def test_linear_mmd_is_its_definition():
    torch.manual_seed(1)
    x, y = torch.randn(21, 2).double(), torch.randn(30, 2).double() + 1
    # Ten quadruples; the last example of x and ten of y have no place.
    found, _ = linear_mmd_permutation_test(x, y, 0, generator(3))
    order = torch.randperm(40, generator=generator(3))
    mixed = torch.cat([x[:20], y[:20]])[order].split(10)
    groups = [([mixed[0][i], mixed[1][i]], [mixed[2][i], mixed[3][i]]) for i in range(10)]
    width_squared = np.sort([squared for group in groups for squared in quadruple(*group)])
    terms = []
    for i in range(10):
        kernel = np.exp(-np.array(quadruple((x[i], x[10 + i]), (y[i], y[10 + i]))) / (2 * width_squared[19]))
        terms.append(kernel @ [1, 1, -1, -1])
    assert found == pytest.approx(np.mean(terms))


def test_linear_mmd_of_two_normals_is_its_closed_form():
    """E k = s/√(s² + 2)·exp(−δ²/(2·(s² + 2))) for the difference of two normals that are δ apart, of variance 2."""
    torch.manual_seed(2)
    count, delta = 50_000, 1.5
    x, y = torch.randn(count, 1), torch.randn(count, 1) + delta
    found, p = linear_mmd_permutation_test(x, y, 99, generator())
    pooled = torch.cat([x, y])[torch.randperm(2 * count)]
    s2 = (pooled[:count] - pooled[count:]).abs().median().item() ** 2
    expected = 2 * math.sqrt(s2 / (s2 + 2)) * (1 - math.exp(-(delta**2) / (2 * (s2 + 2))))
    # A term lies in [−2, 2]; its standard deviation is below 1.
    assert found == pytest.approx(expected, abs=4 / math.sqrt(count / 2))
    assert p == 0.01


@pytest.mark.parametrize("sizes", [(60, 60), (100, 31)])
def test_linear_p_values_are_uniform_for_equal_distributions(sizes):
    torch.manual_seed(7)
    t = torch.distributions.StudentT(3.0)
    drawn = [
        linear_mmd_permutation_test(t.sample((sizes[0], 2)), t.sample((sizes[1], 2)), 19, generator(i))
        for i in range(300)
    ]
    values, p_values = zip(*drawn, strict=True)
    assert abs(np.mean(values)) < 4 * np.std(values) / math.sqrt(300)
    assert uniform(p_values, 20)
