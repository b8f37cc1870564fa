"""The parts of the page for every kind of model, without a browser: what a widget does to what is shown."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.explored import untrained
from vae_hydra.drawing.page.model import decoded, look, medians
from vae_hydra.drawing.page.panes import ExamplePane, PlanePane, Point, PointPane, TraversalPane
from vae_hydra.drawing.page.pictures import pixels

MODELS = {
    "conditional": ("condition=both", "sampler=gamma"),
    "a head and stacked noise": ("classifier=mlp", "noise=normal", "noise.mode=stacked", "model=conv"),
    "a plain autoencoder of one latent": ("sampler=deterministic", "likelihood=bernoulli", "model.latent_dim=1"),
    "many latents": ("model.latent_dim=24", "sampler=student_t"),
    "a plane": ("dataset=lognormal_2d", "sampler=lognormal"),
    "a line": ("dataset=student_t_mixture", "dataset.train_size=100", "dataset.test_size=100"),
}


def panes(what):
    point = Point(z=medians(what), settled=medians(what))
    return point, *(pane(what, point) for pane in (PointPane, ExamplePane, TraversalPane, PlanePane))


def image_of(pane) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(pane.object)))


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_model_has_a_page(name, configure):
    what = untrained(configure, *MODELS[name])
    point, left, example, traversal, plane = panes(what)
    example.noise.value = "uniform"
    example.number.value = 1
    seen = look(what, 1, "uniform", 0)
    example.take()
    assert torch.equal(point.z, seen.code)
    for pane in (traversal, plane):
        pane.show()
    plane.go(0.2, 0.9)
    assert plane.place.data["x"] == pytest.approx([0.2 if what.module.vae.latent_dim > 1 else 0.9], abs=1e-4)
    assert len(left.sliders) == min(20, what.module.vae.latent_dim)
    assert (left.label in left.layout().objects) == what.module.vae.decodes_by_class
    for pane in (left, example, traversal, plane):
        assert pane.layout().get_root() is not None


def test_a_slider_moves_its_latent_alone(configure):
    what = untrained(configure, "sampler=lognormal")
    point, left, *_ = panes(what)
    point.jump(torch.tensor([0.2, 1.5, 300.0, 4.0]))
    assert {latent: slider.value for latent, slider in left.sliders.items()} == {0: 0.054, 1: 0.657, 2: 0.999, 3: 0.917}
    assert left.sliders[2].label == "z2 = 300 beyond p"
    assert left.sliders[3].label == "z3 = 4 at p"
    left.sliders[1].value = 0.5
    # The others are not rounded to where sliders can be.
    torch.testing.assert_close(point.z, torch.tensor([0.2, 1.0, 300.0, 4.0]))
    expected = pixels(decoded(what, point.z, 0), what.limits)
    np.testing.assert_array_equal(image_of(left.picture), expected)


def test_pictures_are_of_the_example_that_was_chosen(configure):
    what = untrained(configure)
    _, _, example, _, _ = panes(what)
    example.of_class.value = 7
    example.number.value = 2
    index = int((what.examples.y == 7).nonzero()[2])
    assert f"test example {index}, class <b>7</b>" in example.about.object
    example.noise.value, example.seed.value = "normal", 5
    seen = look(what, index, "normal", 5)
    shown = {name: image_of(picture) for name, picture in example.pictures.items()}
    np.testing.assert_array_equal(shown["original"], pixels(seen.original, what.limits))
    # By its own extremes: noise leaves the range of the data.
    np.testing.assert_array_equal(shown["input"], pixels(seen.fed))
    np.testing.assert_array_equal(shown["reconstruction"], pixels(seen.reconstruction, what.limits))
    assert f"KL(q‖p) {seen.kl.sum():.1f} nats" in example.about.object
    # Another class begins at its first example, and cannot go past its last.
    example.of_class.value = 1
    assert example.number.value == 0
    assert example.number.end == int((what.examples.y == 1).sum()) - 1


def test_the_class_given_to_the_decoder_is_the_examples_until_another_is_chosen(configure):
    what = untrained(configure, "condition=both")
    point, left, example, _, _ = panes(what)
    example.of_class.value = 6
    example.take()
    assert left.label.value == point.label == 6
    before = image_of(left.picture)
    np.testing.assert_array_equal(before, image_of(example.pictures["reconstruction"]))
    left.label.value = 2
    assert point.label == 2
    assert not np.array_equal(image_of(left.picture), before)


def test_a_head_says_what_it_sees(configure):
    what = untrained(configure, "classifier=mlp")
    point, left, example, _, _ = panes(what)
    probabilities = what.module.vae.classify(point.z).softmax(-1)
    best, share = int(probabilities.argmax()), probabilities.max().item()
    assert f"predicted class <b>{best}</b> ({share:.1%})" in left.verdict.object
    assert "predicted class" in example.about.object
