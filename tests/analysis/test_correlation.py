"""Correlations of two sets of codes whose relation is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from vae_hydra.analysis.codes import chance_correlation, correlate

MEASURES = ("matched", "canonical", "cka")


def test_the_matrix_is_scipys_spearman():
    a, b = torch.randn(200, 3), torch.randn(200, 2)
    b[:, 0] += a[:, 1]
    expected = stats.spearmanr(a.numpy(), b.numpy()).statistic[:3, 3:]
    np.testing.assert_allclose(correlate(a, b).spearman.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("change", [torch.exp, lambda z: -z, lambda z: z[:, [2, 0, 3, 1]], lambda z: z**3])
def test_order_sign_and_increasing_maps_of_latents_change_nothing(change):
    a = torch.randn(300, 4)
    found = correlate(a, change(a))
    assert [getattr(found, name) for name in MEASURES] == pytest.approx([1, 1, 1])


def test_canonical_correlation_finds_a_linear_mixture_of_latents():
    a = torch.rand(4000, 3)
    mixed = a @ torch.tensor([[1.0, 0.2, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
    found = correlate(a, mixed)
    assert found.canonical > 0.97
    assert found.matched < 0.97


def test_canonical_correlations_are_those_of_the_generalised_eigenproblem():
    a, b = torch.randn(500, 3).double(), torch.randn(500, 2).double()
    b[:, 0] += a[:, 0] - 0.5 * a[:, 2]
    x, y = (stats.rankdata(codes.numpy(), axis=0) for codes in (a, b))
    c = np.cov(np.concatenate([x, y], axis=1).T)
    m = np.linalg.solve(c[:3, :3], c[:3, 3:]) @ np.linalg.solve(c[3:, 3:], c[3:, :3])
    expected = np.sqrt(np.sort(np.linalg.eigvals(m).real)[-2:]).mean()
    assert correlate(a, b).canonical == pytest.approx(expected)


def test_independent_codes_correlate_as_by_chance_and_constant_ones_not_at_all():
    a, b = torch.randn(1000, 4), torch.randn(1000, 6)
    found, chance = correlate(a, b), chance_correlation(a, b)
    for name in MEASURES:
        assert getattr(found, name) < 0.15
        assert getattr(found, name) == pytest.approx(getattr(chance, name), abs=0.05)
    assert [getattr(correlate(a, torch.ones(1000, 2)), name) for name in MEASURES] == [0, 0, 0]


def test_codes_of_different_or_too_few_examples_are_refused():
    for shapes in ((10, 11), (3, 3)):
        with pytest.raises(ValueError, match="of the same examples, more than there are latents"):
            correlate(torch.randn(shapes[0], 3), torch.randn(shapes[1], 3))
