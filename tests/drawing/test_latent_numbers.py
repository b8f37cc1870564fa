"""A latent has one number: figures, page and correlations name and order latents alike, by the columns of ``embed``."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.support.composing import QUICK, composed
from tests.support.device import DEVICE, OPENED_ON
from vae_hydra.analysis.embedding import embed
from vae_hydra.drawing.page.example import ExamplePane
from vae_hydra.drawing.page.latents import PlanePane, TraversalPane
from vae_hydra.drawing.page.point import Point, PointPane
from vae_hydra.drawing.page.points import medians
from vae_hydra.drawing.panels import PANELS, Subject
from vae_hydra.drawing.plots import correlation_matrix
from vae_hydra.runs.folder import Run
from vae_hydra.runs.saved import data_of, open_run
from vae_hydra.runs.train import train
from vae_hydra.runs.trained import TrainedModel

LATENTS = 12


@pytest.fixture(scope="module", params=["lognormal", "deterministic"])
def run(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("numbers")
    options = (f"sampler={request.param}", f"model.latent_dim={LATENTS}", "seed=1", "callbacks.figures.enabled=false")
    config = composed(*QUICK, *options, f"output_dir={folder}")
    train(config)
    return Run.of(config)


@pytest.fixture(scope="module")
def arrays(run, tmp_path_factory):
    """The arrays that ``embed`` writes of the test examples."""
    output = tmp_path_factory.mktemp("embedded") / "new"
    options = (f"run={run.folder}", "split=test", OPENED_ON, f"output={output}")
    folder = embed(composed(*options, name="embed"))
    (path,) = (path for path in folder.glob("*.npz") if "classes" not in path.name)
    with np.load(path) as found:
        return dict(found)


def drawn_as(number: int) -> str:
    return f"z{number}".translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


def test_figures_and_page_name_and_order_latents_as_the_columns_of_embed(run, arrays):
    saved = open_run(run.folder, accelerator=DEVICE)
    data = data_of(saved)
    # A figure's own seed chooses other examples, not other latents.
    subject = Subject(saved.module, data, [], run.folder / "figures", seed=5)
    model = TrainedModel(saved.module, data)
    if model.has_kl:
        # All test examples of these data are ranked by. KL of LogNormals: that of the Normals beneath them.
        loc, scale = arrays["loc"].astype(float), arrays["scale"].astype(float)
        worth = (0.5 * (loc**2 + scale**2 - 1) - np.log(scale)).mean(0)
        np.testing.assert_allclose(subject.kl, worth, rtol=1e-4)
    else:
        worth = arrays["code"].var(0)
    names = [drawn_as(latent) for latent in np.argsort(-worth, kind="stable")]
    figure = PANELS["traversals"](subject)
    rows = [label.get_text().split()[0] for label in figure.axes[0].get_yticklabels()]
    assert rows[-10:] == names[:10]
    titles = [axes.get_title().split()[0] for axes in PANELS["codes_against_prior"](subject).axes]
    assert titles == names[:10]
    if model.has_kl:
        bars = PANELS["kl_per_latent"](subject).axes[0]
        assert [label.get_text() for label in bars.get_xticklabels()] == names
    point = Point(z=medians(model), settled=medians(model))
    left, example, traversal, plane = (p(model, point) for p in (PointPane, ExamplePane, TraversalPane, PlanePane))
    assert [slider.label.split()[0] for slider in left.sliders.values()] == names
    assert re.findall(r"<figcaption>(\w+)", example.densities.object) == names[:10]
    traversal.show()
    assert re.findall(r"<span>(z\w+)</span>", traversal.picture.object) == names[:10]
    assert list(plane.across.options) == [drawn_as(latent) for latent in range(LATENTS)]
    assert [drawn_as(plane.across.value), drawn_as(plane.up.value)] == names[:2]


def test_the_code_of_an_example_is_its_row_of_embed(run, arrays):
    saved = open_run(run.folder, accelerator=DEVICE)
    model = TrainedModel(saved.module, data_of(saved))
    np.testing.assert_allclose(model.round_trip(7).code, arrays["code"][7], rtol=1e-4, atol=1e-5)


def test_correlations_name_latents_from_0():
    axes = correlation_matrix(np.zeros((2, 11)), ("one", "other")).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["z₀", "z₁"]
    assert axes.get_xticklabels()[-1].get_text() == "z₁₀"
    many = correlation_matrix(np.zeros((2, 90)), ("one", "other")).axes[0]
    assert [label.get_text() for label in many.get_xticklabels()][:2] == ["z₀", "z₃"]
