"""One style of all figures: one palette, no text off the canvas, and histograms that keep all of their samples."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.colors import CSS4_COLORS
from matplotlib.text import Text

from tests.support.composing import QUICK, composed
from vae_hydra import drawing
from vae_hydra.drawing import plots
from vae_hydra.drawing.panels import PANELS, Subject, drawn
from vae_hydra.drawing.plots.bins import AT_THE_ENDS
from vae_hydra.drawing.plots.charts import Point
from vae_hydra.drawing.plots.series import style
from vae_hydra.drawing.plots.style import fit
from vae_hydra.drawing.plots.trials import Range, Tried, search_history, search_options
from vae_hydra.runs.build import build_experiment

LONG = "a name that somebody gave to a model, too long for one line"
HISTORY = [
    {"epoch": float(epoch), "train/kl": 3e5, "train/log_likelihood": -4e6, "train/loss": 1e6, "train/beta": epoch / 2}
    for epoch in range(3)
]
SUBJECTS = {
    "digits": ("noise=uniform", "beta=linear", "sampler=lognormal", "model.latent_dim=2"),
    "many latents by class": ("condition=both", "model.latent_dim=40", "sampler=student_t"),
    "a plane": ("dataset=lognormal_2d", "noise=normal", "model.latent_dim=3"),
    "heavy tails": ("dataset=pareto", "dataset.fraction=0.02", "sampler=student_t", "likelihood=student_t"),
    "a line": ("dataset=student_t_mixture", "dataset.train_size=300", "dataset.test_size=300"),
}


@cache
def subject(name: str) -> Subject:
    torch.manual_seed(0)
    module, data = build_experiment(composed(*QUICK, *SUBJECTS[name]))
    return Subject(module, data, HISTORY, Path("nowhere"), seed=3, samples=9)


def modules(package: str):
    """The modules of a package of the drawing, and their syntax trees."""
    folder = Path(next(iter(drawing.__path__))) / package
    for info in pkgutil.iter_modules([str(folder)]):
        yield info.name, ast.parse((folder / f"{info.name}.py").read_text(encoding="utf-8"))


def test_colours_are_named_in_one_module():
    found = [
        (name, node.value)
        for package in ("plots", "page", "panels")
        for name, tree in modules(package)
        if name not in ("style", "looks")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if (node.value.startswith("#") and len(node.value) == 7) or node.value in CSS4_COLORS
    ]
    assert found == []


def test_every_figure_has_the_style():
    for name, _ in modules("plots"):
        module = importlib.import_module(f"vae_hydra.drawing.plots.{name}")
        for function in vars(module).values():
            own = inspect.isfunction(function) and function.__module__ == module.__name__
            if (
                own
                and inspect.signature(function).return_annotation == "Figure"
                and function.__name__ != "point_clouds"
            ):
                assert hasattr(function, "__wrapped__"), f"{name}.{function.__name__} is not @styled"


def texts(figure):
    """What stands written in a figure; matplotlib keeps tick labels outside the limits, but does not draw them."""
    figure.draw_without_rendering()
    hidden = {
        id(label)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        for label in (tick.label1, tick.label2)
        if not (axes.axison and min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval()))
    }
    return [
        text
        for text in figure.findobj(Text)
        if text.get_text().strip() and text.get_visible() and id(text) not in hidden
    ]


def cut(figure) -> list[str]:
    """The texts of a figure that are not all on its canvas."""
    width, height = figure.canvas.get_width_height()
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts(figure)]
    return [text for text, b in boxes if min(b.x0, b.y0) < -2 or b.x1 > width + 2 or b.y1 > height + 2]


def test_a_text_that_is_cut_is_found():
    figure = plots.survival_curves({"test data": torch.rand(50) + 1}, "t")
    assert cut(figure) == []
    figure.suptitle(LONG * 2)
    assert cut(figure) == [LONG * 2]
    fit(figure)
    assert cut(figure) == []


@pytest.mark.parametrize(
    "name", ["digits", *(pytest.param(n, marks=pytest.mark.slow) for n in SUBJECTS if n != "digits")]
)
def test_no_figure_of_a_run_cuts_a_label(name):
    """All of them: ``pytest -m slow tests/drawing/test_style.py``, ten seconds a run."""
    figures = {key: figure for key, figure in drawn(subject(name), PANELS) if not isinstance(figure, str)}
    assert len(figures) >= 9
    assert {key: cut(figure) for key, figure in figures.items() if cut(figure)} == {}


STYLES = {LONG: style(0), "normal": style(1)}
TRIALS = [Tried(number, float(number), number == 1, {"lr": 10.0**-number, "model": LONG}) for number in range(3)]
NAMED = {
    "means": lambda: plots.means({LONG: {LONG: {LONG: Point(1, 0.1)}, "b": {"normal": Point(2, 1)}}}, STYLES, LONG),
    "curves": lambda: plots.curves({LONG: {LONG: {0.1: Point(1, 0.1), 10: Point(2, 0.1)}}}, STYLES, ("β", LONG)),
    "heat_maps": lambda: plots.heat_maps({LONG: [[1.0, 2.0]]}, [LONG], [LONG, "b"], LONG, (LONG, LONG)),
    "correlation_matrix": lambda: plots.correlation_matrix(torch.rand(2, 2), (LONG, LONG)),
    "image_rows": lambda: plots.image_rows({LONG: torch.rand(2, 1, 8, 8)}, (0, 1)),
    "image_columns": lambda: plots.image_columns({LONG: {LONG: torch.rand(2, 1, 8, 8)}}, (0, 1)),
    "mosaics": lambda: plots.image_mosaics(
        {LONG: plots.Mosaic(torch.rand(2, 2, 1, 8, 8), [LONG, "b"], [LONG, "b"])}, (0, 1), (LONG, LONG), title=LONG
    ),
    "contrasts": lambda: plots.contrasts(
        {LONG: {LONG: plots.Contrast(torch.rand(9), torch.rand(9), LONG)}}, LONG, {LONG: LONG}
    ),
    "survival_curves": lambda: plots.survival_curves({LONG: torch.rand(50) + 1}, LONG, LONG),
    "scatter": lambda: plots.point_clouds({LONG: torch.randn(9, 2)}, (LONG, LONG)),
    "histograms": lambda: plots.point_clouds({LONG: torch.randn(9, 1)}, (LONG, LONG)),
    "kl_bars": lambda: plots.kl_bars([1.0, 0.001] * 30, [f"z{i}" for i in range(60)], 0.01),
    "search_history": lambda: search_history(TRIALS, LONG),
    "search_options": lambda: search_options(
        TRIALS, {"lr": 0.7, "model": 0.3}, {"lr": Range(0.01, 1, True), "model": [LONG]}, LONG
    ),
}


@pytest.mark.parametrize("name", NAMED)
def test_no_figure_cuts_a_long_name(name):
    assert cut(NAMED[name]()) == []


# Values of which 2 % lie far out on either side, and infinite ones.
SAMPLE = torch.cat(
    [torch.linspace(-1, 1, 960), torch.full((20,), -1e4), torch.full((18,), 1e4), torch.tensor([torch.inf] * 2)]
)


def counts(axes) -> list[float]:
    """The sums of the bins of each histogram of a panel, of shares per unit their areas."""
    bins = [patch.get_data() for patch in axes.patches]
    is_share = "share" in axes.get_ylabel()
    return [float((heights * (np.diff(edges) if is_share else 1)).sum()) for heights, edges, _ in bins]


def test_histograms_of_a_coordinate_keep_all_their_values():
    # The first sample sets the axis.
    (axes,) = plots.point_clouds({"first": torch.rand(1000, 1), "second": SAMPLE[:, None]}).axes
    assert counts(axes) == [1000, 1000]
    assert AT_THE_ENDS in axes.get_xlabel()
    (axes,) = plots.point_clouds({"first": torch.rand(1000, 1)}).axes
    assert AT_THE_ENDS not in axes.get_xlabel()


def test_histograms_of_values_keep_all_their_values():
    noisy = torch.cat([torch.rand(5000), torch.tensor([-1e4, 1e4])])
    figure = plots.value_histograms({"uniform": {"clean": torch.rand(1000), "noisy": noisy}}, "pixel value")
    assert counts(figure.axes[0]) == pytest.approx([1, 1])
    assert AT_THE_ENDS in figure.get_suptitle()


def test_histograms_of_parameters_keep_all_their_values():
    figure = plots.parameter_histograms({"loc": SAMPLE[:, None].expand(-1, 2)}, ["z₀", "z₁"], {})
    assert [counts(axes) for axes in figure.axes] == [[1000], [1000]]


def test_histograms_of_scores_keep_all_their_values():
    contrast = plots.Contrast(SAMPLE, torch.cat([SAMPLE] * 2), "AUROC 0.5")
    figure = plots.contrasts({"pixels": {"elbo": contrast}}, "test", {"elbo": "ELBO"})
    assert counts(figure.axes[0]) == pytest.approx([1, 1])


def test_draws_beyond_the_axis_of_a_density_are_said():
    panel = plots.OverDensity(SAMPLE, (-1.0, 1.0), np.zeros(1), np.ones(1))
    axes = plots.draws_over_densities({"z": panel}, ("draws", "density", ""), "z").axes[0]
    assert counts(axes) == pytest.approx([0.96])
    assert [text.get_text() for text in axes.texts] == ["← 2.0%", "2.0% →"]
    inside = plots.OverDensity(SAMPLE[:960], (-1.0, 1.0), np.zeros(1), np.ones(1))
    axes = plots.draws_over_densities({"z": inside}, ("draws", "density", ""), "z").axes[0]
    assert [text.get_text() for text in axes.texts] == []


def test_points_that_are_far_higher_than_the_draws_say_how_high():
    panel = plots.OverDensity(torch.rand(1000), (0.0, 1.0), points=torch.full((10,), 0.5))
    axes = plots.draws_over_densities({"z": panel}, ("draws", "density", "codes"), "z").axes[0]
    assert [text.get_text() for text in axes.texts] == ["codes up to 60"]
    assert axes.get_ylim()[1] < 6


def test_points_beyond_a_plane_are_said():
    far = torch.cat([torch.rand(996, 2), torch.full((4, 2), 1e6)])
    axes = plots.scatter_panels({"test data": torch.rand(1000, 2), "generated": far}).axes
    titles = [one.get_title() for one in axes]
    assert titles[0] == "test data"
    assert titles[1] == "generated (0.4% beyond)"


@pytest.mark.parametrize("name", ["quantile_grid", "traversals"])
def test_grids_have_gaps(name):
    ((_, figure),) = drawn(subject("digits"), [name])
    shown = np.asarray(figure.axes[0].images[0].get_array())
    assert (shown[8::9] == 1).all()
    assert (shown[:, 8::9] == 1).all()
