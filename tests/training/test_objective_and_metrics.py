"""The objective and the measures, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from vae_hydra.runs.build import build_experiment
from vae_hydra.training.metrics import (
    MeanOverExamples,
    defined,
    half_sse,
    image_measures,
    l1_per_pixel,
    mse_per_pixel,
    psnr,
    ssim,
)
from vae_hydra.training.objective import ELBO
from vae_hydra.training.protocols import image_measure_names

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
    torch.testing.assert_close(ELBO(**options).combined(-LOG_LIKELIHOOD, KL, 0.5), torch.tensor(expected))


def test_objective_takes_any_leading_dimensions():
    reconstruction, kl = torch.randn(2, 3), torch.rand(2, 3, 4)
    nested = ELBO(normalise=True).combined(reconstruction, kl, 0.3)
    flat = ELBO(normalise=True).combined(reconstruction.flatten(), kl.flatten(0, 1), 0.3)
    torch.testing.assert_close(nested.flatten(), flat)


def test_free_bits_are_the_published_bound_on_the_batch_mean():
    torch.manual_seed(3)
    kl = torch.rand(2, 50, 7) * torch.linspace(0.1, 2, 7)
    kl[0, 0] = -1.0  # as an estimate may be
    kl.requires_grad_()
    loss = ELBO(free_bits=0.5).combined(torch.zeros(2, 50), kl, 1.0)
    means = kl.mean(-2)
    torch.testing.assert_close(loss.mean(-1), means.clamp(min=0.5).sum(-1))
    (gradient,) = torch.autograd.grad(loss.sum(), kl)
    expected = (means >= 0.5).to(kl.dtype)
    assert 0 < expected.mean() < 1
    assert torch.equal(gradient, expected.unsqueeze(-2).expand_as(kl))


def test_free_bits_of_an_example_without_a_batch():
    loss = ELBO(free_bits=1.0).combined(torch.tensor(3.0), torch.tensor([0.2, 4.0]), 0.5)
    assert loss.item() == 3 + 0.5 * 5


def test_no_free_bits_leave_negative_estimates_alone():
    assert ELBO(free_bits=0).combined(torch.tensor(0.0), torch.tensor([-0.5, 1.0]), 1.0).item() == 0.5


def test_objective_refuses_other_reductions():
    with pytest.raises(ValueError, match="objective.kl_reduction must be one of sum, mean, but got 'max'"):
        ELBO("max")
    with pytest.raises(ValueError, match="objective.normalise must be true or false"):
        ELBO(normalise=1)
    with pytest.raises(ValueError, match="objective.free_bits must be a number ≥ 0, but got -1"):
        ELBO(free_bits=-1)


def test_measures_by_hand():
    reconstruction, x = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.tensor([[[1.0, 0.0], [3.0, 7.0]]])
    assert half_sse(reconstruction, x, 2).tolist() == [6.5]
    assert mse_per_pixel(reconstruction, x, 2).tolist() == [3.25]
    assert l1_per_pixel(reconstruction, x, 2).tolist() == [1.25]


def test_psnr_by_hand():
    # 20·log₁₀(span / error) where every pixel is off by the same; beyond the range of the data too.
    x = torch.ones(3, 1, 4, 4)
    error = torch.tensor([0.1, 0.5, 3.0]).view(3, 1, 1, 1)
    expected = [20 * math.log10(2.0 / e) for e in (0.1, 0.5, 3.0)]
    assert psnr(x + error, x, 2.0).tolist() == pytest.approx(expected, rel=1e-5)


def ssim_by_windows(one: np.ndarray, other: np.ndarray, span: float, size: int, sigma: float) -> float:
    """The published formula, a window at a time, of images [C, H, W]."""
    axis = np.arange(size) - size // 2
    weights = np.exp(-(axis[:, None] ** 2 + axis[None] ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    values = []
    for a, b in zip(one, other, strict=True):
        for i in range(a.shape[0] - size + 1):
            for j in range(a.shape[1] - size + 1):
                u, v = a[i : i + size, j : j + size], b[i : i + size, j : j + size]
                mu, mv = (weights * u).sum(), (weights * v).sum()
                spread = (weights * ((u - mu) ** 2 + (v - mv) ** 2)).sum()
                together = (weights * (u - mu) * (v - mv)).sum()
                values.append((2 * mu * mv + c1) * (2 * together + c2) / ((mu**2 + mv**2 + c1) * (spread + c2)))
    return float(np.mean(values))


SSIM_CASES = [
    ((1, 28, 28), 11, 1.5),
    ((3, 12, 17), 11, 1.5),
    ((1, 8, 8), 7, 0.9),
    ((2, 5, 9), 5, 0.6),
    ((1, 3, 4), 3, 0.3),
]


@pytest.mark.parametrize(("shape", "size", "sigma"), SSIM_CASES)
def test_ssim_is_the_published_formula(shape, size, sigma):
    x = 1 + (math.e - 1) * torch.rand(2, *shape, dtype=torch.float64)  # as of dataset=mnist_exp
    reconstruction = x + 0.3 * torch.randn_like(x)
    expected = [
        ssim_by_windows(*pair, math.e - 1, size, sigma) for pair in zip(reconstruction.numpy(), x.numpy(), strict=True)
    ]
    assert ssim(reconstruction, x, math.e - 1).tolist() == pytest.approx(expected, rel=1e-9)
    assert ssim(x, x, math.e - 1).tolist() == pytest.approx([1, 1], rel=1e-12)
    single = ssim(reconstruction.float(), x.float(), math.e - 1)
    assert single.tolist() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("shape", "size", "sigma"), SSIM_CASES)
def test_ssim_is_that_of_torchmetrics_inside_its_border(shape, size, sigma):
    x = torch.rand(4, *shape, dtype=torch.float64)
    reconstruction = (x + 0.1 * torch.randn_like(x)).clamp(0, 1)
    _, everywhere = structural_similarity_index_measure(
        reconstruction, x, sigma=sigma, data_range=1.0, reduction="none", return_full_image=True
    )
    border = size // 2
    inside = everywhere[..., border:-border, border:-border].flatten(1).mean(1)
    torch.testing.assert_close(ssim(reconstruction, x, 1.0), inside)


def test_which_shapes_have_measures_of_images():
    assert image_measure_names([1, 8, 8]) == ["psnr", "ssim"]
    assert image_measure_names([1, 2, 8]) == ["psnr"]
    assert image_measure_names([2]) == []
    assert image_measures(torch.rand(5, 2), torch.rand(5, 2), 1.0) == {}


def test_measures_of_images_are_full_precision_in_mixed_training():
    x = torch.rand(5, 1, 28, 28).round()
    reconstruction = (0.9 * x + 0.05).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = image_measures(reconstruction, x, 1.0)
    full = image_measures(reconstruction.float(), x, 1.0)
    for name, value in mixed.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, full[name], rtol=0, atol=0)


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


def test_terms_that_are_no_numbers_have_their_limits():
    nan = torch.tensor([math.nan, 1.0])
    found = defined(dict.fromkeys(("loss", "kl_per_latent", "half_sse", "log_likelihood", "psnr", "ssim"), nan))
    limits = {name: value[0].item() for name, value in found.items()}
    assert limits.pop("ssim") == 0
    assert [limits.pop(name) for name in ("log_likelihood", "psnr")] == [-math.inf] * 2
    assert set(limits.values()) == {math.inf}
    assert all(value[1] == 1 for value in found.values())


@pytest.mark.parametrize("options", [("sampler=normal_full",), ("prior=vamp",)])
def test_a_mean_over_latents_needs_a_kl_of_each(options, configure):
    with pytest.raises(ValueError, match="which have one KL; use kl_reduction=sum"):
        build_experiment(configure(*options, "objective.kl_reduction=mean"))
    build_experiment(configure(*options, "objective.free_bits=0.5"))
