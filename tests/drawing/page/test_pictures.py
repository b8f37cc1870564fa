"""Pictures of the page: pixels and figures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import LogNormal

from tests.support.composing import options
from tests.support.explored import untrained
from vae_hydra.distributions import marginals
from vae_hydra.drawing.page import markup, pictures
from vae_hydra.drawing.page.latents import nearest


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
    shown = pictures.densities(list(posteriors.values()), model.prior, trip.code, [2, 0])
    assert list(shown) == [2, 0]
    for latent, curves in shown.items():
        low, high = curves.limits
        assert curves.code == pytest.approx(trip.code[latent].item())
        assert low <= curves.code <= high
        assert len(curves.posteriors) == len(posteriors)
        for (z, height), q in zip(curves.posteriors, posteriors.values(), strict=True):
            expected = q.log_prob(torch.tensor(z).unsqueeze(1).expand(-1, 4))[:, latent].double().exp()
            np.testing.assert_allclose(height, expected / expected.max(), rtol=1e-4)
            # Its tail is in view; near 0 some have no bound, and bounded latents have no tail.
            assert name in ("beta", "kumaraswamy", "von_mises_fisher") or height[-1] < 0.05
            assert low <= z.min()
            assert z.max() <= high + 1e-5 * abs(high)


def test_densities_hold_a_narrow_posterior_far_out():
    q = LogNormal(torch.tensor([4.0]), torch.tensor([0.0001]))
    curves = pictures.densities([q], LogNormal(torch.zeros(1), torch.ones(1)), q.mean, [0])[0]
    low, high = curves.limits
    assert low < 1 < q.mean.item() < high
    assert (curves.posteriors[0][1] > 0.5).sum() > 25


def test_densities_are_drawn_where_they_are():
    curves = pictures.Curves((0.0, 4.0), (np.array([0.0, 4.0]), np.array([1.0, 0.0])), [], 1.0)
    drawn = markup.densities({"z₀ <b>": curves}, [])
    assert "points='0,100 0.0,3.8 200.0,100.0 200,100'" in drawn
    assert "x1='50.0'" in drawn
    assert "z₀ &lt;b&gt;" in drawn


def test_traversals_frame_the_image_nearest_to_the_point():
    assert nearest(torch.tensor([0.3, 0.99, 0.001]), torch.tensor([0.01, 0.2, 0.35, 0.95])) == [2, 3, 0]
    drawn = markup.tiles(np.zeros((18, 36, 3), np.uint8), ["z₁", "z₀"], list("abcd"), [2, None])
    assert drawn.count("class='mark'") == 1
    assert "left:50.000%;top:0.000%;width:25.000%;height:50.000%" in drawn


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
