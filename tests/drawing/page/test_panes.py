"""The parts of the page for every kind of model, without a browser: widgets change the pictures."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.explored import untrained
from vae_hydra.drawing.page.example import ExamplePane
from vae_hydra.drawing.page.latents import PlanePane, TraversalPane
from vae_hydra.drawing.page.pictures import pixels
from vae_hydra.drawing.page.point import Point, PointPane
from vae_hydra.drawing.page.points import medians

MODELS = {
    "conditional": ("condition=both", "sampler=gamma"),
    "a head and stacked noise": ("classifier=mlp", "noise=normal", "noise.mode=stacked", "model=conv"),
    "a plain autoencoder of one latent": ("sampler=deterministic", "likelihood=bernoulli", "model.latent_dim=1"),
    "many latents": ("model.latent_dim=24", "sampler=student_t"),
    "a plane": ("dataset=lognormal_2d", "sampler=lognormal"),
    "a line": ("dataset=student_t_mixture", "dataset.train_size=100", "dataset.test_size=100"),
}


def panes(model):
    point = Point(z=medians(model), settled=medians(model))
    return point, *(pane(model, point) for pane in (PointPane, ExamplePane, TraversalPane, PlanePane))


def image_of(pane) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(pane.object)))


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_model_has_a_page(name, configure):
    model = untrained(configure, *MODELS[name])
    point, left, example, traversal, plane = panes(model)
    example.noise.value = "uniform"
    example.number.value = 1
    trip = model.round_trip(1, "uniform", 0)
    example.take()
    assert torch.equal(point.z, trip.code)
    for pane in (traversal, plane):
        pane.show()
    plane.go(0.2, 0.9)
    assert plane.place.data["x"] == pytest.approx([0.2 if model.module.vae.latent_dim > 1 else 0.9], abs=1e-4)
    assert len(left.sliders) == min(20, model.module.vae.latent_dim)
    assert (left.label in list(left.layout())) == model.module.vae.decodes_by_class
    for pane in (left, example, traversal, plane):
        assert pane.layout().get_root() is not None


def test_a_slider_moves_its_latent_alone(configure):
    model = untrained(configure, "sampler=lognormal")
    point, left, *_ = panes(model)
    point.jump(torch.tensor([0.2, 1.5, 300.0, 4.0]))
    assert {latent: slider.value for latent, slider in left.sliders.items()} == {0: 0.054, 1: 0.657, 2: 0.999, 3: 0.917}
    assert left.sliders[2].label == "z₂ = 300 beyond p"
    assert left.sliders[3].label == "z₃ = 4 at p"
    left.sliders[1].value = 0.5
    # The others are not rounded to where sliders can be.
    torch.testing.assert_close(point.z, torch.tensor([0.2, 1.0, 300.0, 4.0]))
    expected = pixels(model.decode(point.z, 0), model.limits)
    np.testing.assert_array_equal(image_of(left.picture), expected)


def test_pictures_are_of_the_example_that_was_chosen(configure):
    model = untrained(configure)
    _, _, example, _, _ = panes(model)
    example.label.value = 7
    example.number.value = 2
    index = int((model.test_examples.y == 7).nonzero()[2])
    assert f"test example {index}, class <b>7</b>" in example.about.object
    example.noise.value, example.seed.value = "normal", 5
    trip = model.round_trip(index, "normal", 5)
    shown = {name: image_of(picture) for name, picture in example.pictures.items()}
    np.testing.assert_array_equal(shown["original"], pixels(trip.original, model.limits))
    # By its own extremes: noise leaves the range of the data.
    np.testing.assert_array_equal(shown["input"], pixels(trip.fed))
    np.testing.assert_array_equal(shown["reconstruction"], pixels(trip.reconstruction, model.limits))
    assert f"KL(q‖p) {trip.kl.sum():.1f} nats" in example.about.object
    # Another class begins at its first example, and cannot go past its last.
    example.label.value = 1
    assert example.number.value == 0
    assert example.number.end == int((model.test_examples.y == 1).sum()) - 1


def test_the_class_given_to_the_decoder_is_the_examples_until_another_is_chosen(configure):
    model = untrained(configure, "condition=both")
    point, left, example, _, _ = panes(model)
    example.label.value = 6
    example.take()
    assert left.label.value == point.label == 6
    before = image_of(left.picture)
    np.testing.assert_array_equal(before, image_of(example.pictures["reconstruction"]))
    left.label.value = 2
    assert point.label == 2
    assert not np.array_equal(image_of(left.picture), before)


def test_a_head_predicts_a_class(configure):
    model = untrained(configure, "classifier=mlp")
    point, left, example, _, _ = panes(model)
    probabilities = model.module.vae.classify(point.z).softmax(-1)
    best, share = int(probabilities.argmax()), probabilities.max().item()
    assert f"predicted class <b>{best}</b> ({share:.1%})" in left.prediction.object
    assert "predicted class" in example.about.object
