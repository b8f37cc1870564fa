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
        ({"free_bits": 0.4}, [3 + 0.5 * 3, 5 + 0.5 * 4]),
        ({"free_bits": 1.0}, [3 + 0.5 * 3, 5 + 0.5 * 5]),
        ({"free_bits": 5.0, "kl_reduction": "mean"}, [3 + 0.5 * 5, 5 + 0.5 * 5]),
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


def test_free_bits_are_the_published_bound_on_the_batch_mean():
    torch.manual_seed(3)
    kl = torch.rand(2, 50, 7) * torch.linspace(0.1, 2, 7)
    kl[0, 0] = -1.0  # as an estimate may be
    kl.requires_grad_()
    loss = Objective(free_bits=0.5)(torch.zeros(2, 50), kl, 1.0)
    means = kl.mean(-2)
    torch.testing.assert_close(loss.mean(-1), means.clamp(min=0.5).sum(-1))
    (gradient,) = torch.autograd.grad(loss.sum(), kl)
    expected = (means >= 0.5).to(kl.dtype)
    assert 0 < expected.mean() < 1
    assert torch.equal(gradient, expected.unsqueeze(-2).expand_as(kl))


def test_free_bits_of_an_example_without_a_batch():
    loss = Objective(free_bits=1.0)(torch.tensor(-3.0), torch.tensor([0.2, 4.0]), 0.5)
    assert loss.item() == 3 + 0.5 * 5


def test_no_free_bits_leave_negative_estimates_alone():
    assert Objective(free_bits=0)(torch.tensor(0.0), torch.tensor([-0.5, 1.0]), 1.0).item() == 0.5


def test_objective_refuses_other_reductions():
    with pytest.raises(ValueError, match="objective.kl_reduction must be one of sum, mean, but got 'max'"):
        Objective("max")
    with pytest.raises(ValueError, match="objective.normalise must be true or false"):
        Objective(normalise=1)
    with pytest.raises(ValueError, match="objective.free_bits must be a number ≥ 0, but got -1"):
        Objective(free_bits=-1)


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
