"""Pictures of the page: pixels and figures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import LogNormal

from tests.support.composing import options
from tests.support.explored import untrained
from vae_hydra.distributions import marginals
from vae_hydra.drawing.page import pictures


def test_pixels_are_black_and_white_at_the_limits_and_clipped_beyond():
    image = torch.tensor([[[-1.0, 0.0, 0.5, 1.0, 7.0]]])
    assert pictures.pixels(image, (0.0, 1.0))[0, :, 0].tolist() == [0, 0, 128, 255, 255]
    assert pictures.pixels(image)[0, :, 2].tolist() == [0, 32, 48, 64, 255]
    assert pictures.pixels(torch.zeros(1, 2, 2)).max() == 0
    colour = torch.tensor([1.0, 0.0, 0.2]).reshape(3, 1, 1)
    assert pictures.pixels(colour, (0.0, 1.0)).tolist() == [[[255, 0, 51]]]


def test_a_mosaic_has_every_image_in_its_place():
    images = torch.arange(6.0).reshape(2, 3, 1, 1, 1).expand(2, 3, 1, 4, 5)
    joined = pictures.mosaic(images, (0.0, 5.0))
    assert joined.shape == (2 * 5, 3 * 6, 3)
    for row in range(2):
        for column in range(3):
            tile = joined[5 * row : 5 * row + 4, 6 * column : 6 * column + 5]
            assert (tile == 51 * (3 * row + column)).all()
    assert (joined[4::5] == 255).all()
    assert (joined[:, 5::6] == 255).all()


def test_bokeh_has_the_lowest_row_first():
    image = np.array([[[1, 2, 3]], [[4, 5, 6]]], dtype=np.uint8)
    assert pictures.rgba(image).view(np.uint8).reshape(2, 4).tolist() == [[4, 5, 6, 255], [1, 2, 3, 255]]


@pytest.mark.parametrize("name", options("sampler"))
def test_densities_show_prior_and_posteriors(name, configure):
    model = untrained(configure, f"sampler={name}", "noise=uniform")
    trip, other = model.round_trip(0), model.round_trip(1)
    shown_q = {"of one": marginals(trip.q), "of another": marginals(other.q)}
    posteriors = {} if name == "deterministic" else shown_q
    figure = pictures.densities(posteriors, model.prior, trip.code, {2: "two", 0: "none"})
    shown = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in shown] == ["two", "none"]
    for axes, latent in zip(shown, (2, 0), strict=True):
        *curves, code = axes.lines
        low, high = axes.get_xlim()
        assert code.get_xdata()[0] == pytest.approx(trip.code[latent].item())
        assert low <= code.get_xdata()[0] <= high
        for line, (title, q) in zip(curves, posteriors.items(), strict=True):
            assert line.get_label() == title
            z, height = torch.tensor(line.get_xdata()), line.get_ydata()
            expected = q.log_prob(z.unsqueeze(1).expand(-1, 4))[:, latent].double().exp()
            np.testing.assert_allclose(height, expected / expected.max(), rtol=1e-4)
            # Its tail is in view; near 0 some have no bound, and bounded latents have no tail.
            assert name in ("beta", "kumaraswamy", "von_mises_fisher") or height[-1] < 0.05
            assert low <= z.min()
            assert z.max() <= high


def test_densities_hold_a_narrow_posterior_far_out():
    q = LogNormal(torch.tensor([4.0]), torch.tensor([0.0001]))
    axes = pictures.densities({"q": q}, LogNormal(0.0, 1.0), q.mean, {0: "z0"}).axes[0]
    low, high = axes.get_xlim()
    assert low < 1 < q.mean.item() < high
    assert (axes.lines[0].get_ydata() > 0.5).sum() > 50


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_points_lie_where_they_are(dimensions):
    cloud, path = torch.randn(50, dimensions), 30 + torch.rand(4, dimensions)
    figure = pictures.points(cloud, {"path": path}, net=torch.randn(2, 3, dimensions))
    (axes,) = figure.axes
    line = next(line for line in axes.lines if line.get_label() == "path")
    np.testing.assert_allclose(line.get_xdata(), path[:, 0])
    np.testing.assert_allclose(line.get_ydata(), path[:, 1] if dimensions > 1 else np.ones(4))
    assert axes.get_xlim()[1] > path[:, 0].max()
    assert len(axes.lines) == 2 + 3 + 1


def test_rows_of_images_have_names():
    figure = pictures.rows_of_images(torch.rand(2, 3, 1, 8, 8), (0, 1), ["z1", "z0"], ["a", "b", "c"])
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["z1", "z0"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c"]
    assert axes.get_yticks().tolist() == [4.0, 13.0]
