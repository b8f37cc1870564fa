"""The span that scores and figures are relative to is that of the training examples; checks see all examples."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vae_hydra.data.datamodule import DataModule
from vae_hydra.data.examples import Examples, Source
from vae_hydra.data.sources.digits import load_digits
from vae_hydra.data.sources.torchvision_images import load_torchvision
from vae_hydra.runs.build import build_experiment
from vae_hydra.runs.compatibility import check_likelihood_fits


@pytest.mark.parametrize("outside", ["validation", "test"])
def test_the_span_is_that_of_training_and_a_likelihood_must_take_all(outside, configure):
    """A test image brighter than those of training changes no PSNR, but is no value for a Bernoulli likelihood."""
    examples = Examples(torch.tensor([0.0, 1.0]).expand(20, -1), torch.zeros(20, dtype=torch.long))
    data = DataModule(Source(examples, examples), 5, validation=0.25)
    assert data.is_binary
    assert data.value_range() == data.full_range() == (0, 1)
    data.splits[outside] = Examples(3 * data.splits[outside].x - 1, data.splits[outside].y)
    assert data.value_range() == (0, 1)
    assert data.full_range() == (-1, 2)
    assert not data.is_binary
    module = build_experiment(configure("likelihood=bernoulli")).module
    with pytest.raises(ValueError, match=r"needs data in \[0, 1\], but this dataset spans \[-1, 2\]"):
        check_likelihood_fits(module, data)


@pytest.mark.parametrize("options", [{}, {"fold": 1}, {"fraction": 0.1}, {"resize": 7}, {"seed": 3}])
def test_training_digits_span_what_all_of_them_do(options):
    data = DataModule(load_digits(seed=options.get("seed", 0)), 64, **options)
    assert data.value_range() == data.full_range() == (0, 1)


@pytest.mark.parametrize(("transform", "span"), [("none", (0, 1)), ("exp", (1, np.e))])
def test_training_images_of_mnist_span_what_all_of_them_do(transform, span, mnist_root):
    data = DataModule(load_torchvision("MNIST", mnist_root, download=False), 64, transform=transform)
    assert data.value_range() == data.full_range() == pytest.approx(span)
