"""The objective and the measures, by hand."""

from __future__ import annotations

import pytest
import torch

from vae_hydra.metrics import MeanOverExamples, half_sse, l1_per_pixel, mse_per_pixel
from vae_hydra.objective import Objective

LOG_LIKELIHOOD = torch.tensor([-3.0, -5.0])
KL = torch.tensor([[1.0, 2.0], [0.0, 4.0]])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [3 + 0.5 * 3, 5 + 0.5 * 4]),
        ({"kl_reduction": "mean"}, [3 + 0.5 * 1.5, 5 + 0.5 * 2]),
        ({"normalise": True}, [(3 + 0.5 * 3) / 1.5, (5 + 0.5 * 4) / 1.5]),
    ],
)
def test_objective(options, expected):
    torch.testing.assert_close(Objective(**options)(LOG_LIKELIHOOD, KL, 0.5), torch.tensor(expected))


def test_objective_takes_any_leading_dimensions():
    log_likelihood, kl = torch.randn(2, 3), torch.rand(2, 3, 4)
    nested = Objective(normalise=True)(log_likelihood, kl, 0.3)
    flat = Objective(normalise=True)(log_likelihood.flatten(), kl.flatten(0, 1), 0.3)
    torch.testing.assert_close(nested.flatten(), flat)


def test_objective_refuses_other_reductions():
    with pytest.raises(ValueError, match="objective.kl_reduction must be one of sum, mean, but got 'max'"):
        Objective("max")
    with pytest.raises(ValueError, match="objective.normalise must be true or false"):
        Objective(normalise=1)


def test_measures_by_hand():
    reconstruction, x = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.tensor([[[1.0, 0.0], [3.0, 7.0]]])
    assert half_sse(reconstruction, x, 2).tolist() == [6.5]
    assert mse_per_pixel(reconstruction, x, 2).tolist() == [3.25]
    assert l1_per_pixel(reconstruction, x, 2).tolist() == [1.25]


def test_mean_weighs_examples_not_batches():
    means = MeanOverExamples({"loss": 1, "kl": 2})
    means.update({"loss": torch.tensor([1.0, 2.0, 3.0]), "kl": torch.ones(3, 2)})
    means.update({"loss": torch.tensor([10.0]), "kl": torch.tensor([[5.0, 9.0]])})
    result = means.compute()
    assert result["loss"].item() == 4
    assert result["loss"].shape == ()
    assert result["kl"].tolist() == [2, 3]


def test_mean_survives_a_state_dict():
    means, other = MeanOverExamples({"loss": 1}), MeanOverExamples({"loss": 1})
    means.update({"loss": torch.tensor([1.0, 2.0])})
    other.load_state_dict(means.state_dict())
    other.update({"loss": torch.tensor([6.0])})
    assert other.compute()["loss"].item() == 3
