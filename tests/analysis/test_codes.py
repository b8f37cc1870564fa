"""Measures of codes on known clusters."""

from __future__ import annotations

import pytest
import torch

from vae_hydra.analysis.codes import active_units, knn_accuracy, latent_measures, linear_accuracy, silhouette


def clusters(apart: float, count: int = 300):
    y = torch.arange(count) % 3
    centres = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]) * apart
    return centres[y] + torch.randn(count, 2), y


@pytest.mark.parametrize("measure", [knn_accuracy, linear_accuracy])
def test_classes_far_apart_are_found_and_equal_ones_guessed(measure):
    assert measure(*clusters(30), *clusters(30)) == 1
    assert measure(*clusters(0), *clusters(0)) == pytest.approx(1 / 3, abs=0.12)


def test_silhouette_by_hand():
    # Two classes of two points each: a = 1 and b = 10 or 11 for each of them.
    codes = torch.tensor([[0.0], [1.0], [11.0], [12.0]])
    expected = ((11.5 - 1) / 11.5 + (10.5 - 1) / 10.5) / 2
    assert silhouette(codes, torch.tensor([0, 0, 1, 1])) == pytest.approx(expected)


def test_active_units_vary():
    codes = torch.randn(1000, 4) * torch.tensor([1.0, 0.5, 0.05, 0.0])
    assert active_units(codes) == 2


def test_data_without_classes_have_active_units_alone():
    codes = torch.randn(50, 2)
    y = torch.zeros(50, dtype=torch.long)
    assert latent_measures(codes, y, codes, y) == {"active_units": 2.0}


def test_infinite_codes_are_far_away():
    train, y = torch.randn(40, 2, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 2
    train[y == 1, 0] = torch.inf
    measures = latent_measures(train, y, train, y)
    assert measures["active_units"] == 2
    assert measures["knn_accuracy"] == measures["linear_accuracy"] == 1
    assert measures["silhouette"] == pytest.approx(1)
