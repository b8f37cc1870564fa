"""Charts show the numbers they are given, images are where they belong, and series are told apart without colour."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from matplotlib import rc_context, rcParams
from matplotlib.colors import LogNorm

from vae_hydra.drawing import plots
from vae_hydra.drawing.plots.charts import Point
from vae_hydra.drawing.plots.series import style

LOOKS = {"normal": style(0), "student_t df=3": style(3), "student_t df=5": style(3, 1)}
NAN = float("nan")


def test_means_lie_at_their_values_and_their_lines_are_as_long_as_the_spreads():
    groups = {
        "none": {"normal": Point(2.0, 0.5)},
        "uniform": {"normal": Point(3.0, NAN), "student_t df=3": Point(1.0, 0.25)},
    }
    figure = plots.means({"digits": groups}, LOOKS, "half-SSE")
    axes = figure.axes[0]
    points = {tuple(xy) for line in axes.lines if line.get_marker() in "oD" for xy in line.get_xydata()}
    # A group is a line a series, and a line of room.
    assert points == {(2.0, 0.0), (3.0, 2.0), (1.0, 3.0)}
    ends = sorted(tuple(path.vertices[:, 0]) for lines in axes.collections for path in lines.get_paths())
    assert ends == [(0.75, 1.25), (1.5, 2.5), (3.0, 3.0)]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["none", "uniform"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["normal", "student_t df=3"]


def test_curves_go_through_their_points_in_order():
    points = {1.0: Point(3.0, 0.1), 0.01: Point(1.0, NAN), 0.1: Point(2.0, 0.1)}
    figure = plots.curves({"digits": {"normal": points}}, LOOKS, ("β", "half-SSE"))
    (line, *_) = figure.axes[0].lines
    np.testing.assert_allclose(line.get_xydata(), [[0.01, 1.0], [0.1, 2.0], [1.0, 3.0]])
    assert figure.axes[0].get_xscale() == "log"


@pytest.mark.parametrize(
    ("values", "is_logarithmic"),
    [([[1.0, 2.0], [3.0, NAN]], False), ([[1.0, 2.0], [30.0, NAN]], True), ([[-1.0, 90.0]], False)],
)
def test_heat_maps_share_a_scale_and_write_their_numbers(values, is_logarithmic):
    maps = {"normal": values, "lognormal": np.array(values) + 0.5}
    rows = ["none", "uniform"][: len(values)]
    figure = plots.heat_maps(maps, rows, ["clean", "uniform"], "half-SSE", ("training", "testing"))
    pictures = [axes.images[0] for axes in figure.axes if axes.images]
    assert len({id(picture.norm) for picture in pictures}) == 1
    assert isinstance(pictures[0].norm, LogNorm) == is_logarithmic
    written = [float(text.get_text().replace("\u2212", "-")) for text in figure.axes[0].texts]
    assert written == [value for value in np.ravel(values) if np.isfinite(value)]


def test_blocks_of_images_are_one_picture_each_with_their_rows_named():
    original, noisy = np.zeros((3, 1, 4, 4), np.float32), np.ones((3, 1, 4, 4), np.float32)
    original[1, 0, 2, 3] = 1.0
    blocks = {"clean": {"original": original, "normal": original / 2}, "noisy": {"input": noisy}}
    figure = plots.image_columns(blocks, (0.0, 2.0))
    pictures = [axes.images[0].get_array() for axes in figure.axes]
    # Two rows of four pixels, of three images each, and a white line after each row and between any two images.
    assert [picture.shape for picture in pictures] == [(10, 14)] * 2
    assert [[text.get_text() for text in axes.get_yticklabels()] for axes in figure.axes] == [
        [*b] for b in blocks.values()
    ]
    clean = np.ones((10, 14))
    for top in (0, 5):
        for left in (0, 5, 10):
            clean[top : top + 4, left : left + 4] = 0
    clean[2, 8], clean[7, 8] = 0.5, 0.25
    np.testing.assert_array_equal(pictures[0], clean)
    assert (np.delete(pictures[1][:4], [4, 9], axis=1) == 0.5).all()
    assert (pictures[1][4:] == 1).all()


def test_arrays_and_tensors_are_drawn_alike():
    images = torch.rand(4, 3, 8, 8)
    drawn = [
        plots.image_rows({"a": values}, (0, 1)).axes[0].images[0].get_array() for values in (images, images.numpy())
    ]
    np.testing.assert_array_equal(*drawn)


def test_any_two_series_of_a_chart_differ_in_more_than_colour():
    looks = [style(number, variant) for number in range(12) for variant in (0, 1)]
    assert len(set(looks)) == len(looks)
    for one, other in itertools.combinations([style(number) for number in range(8)], 2):
        assert one.hatch != other.hatch
        assert one.marker != other.marker


def epochs(*betas: float, **others: float) -> list[dict[str, float]]:
    """Rows of a metrics.csv whose training saw these β."""
    rows = [{"epoch": e, "train/beta": beta, "train/loss": 4.0 - e, **others} for e, beta in enumerate(betas)]
    rows[-1] |= {"val/loss": 3.5}
    return rows


def test_losses_at_one_beta_share_a_panel():
    for ends in (None, (0.1, 0.1)):
        # As metrics.csv has it, rounded to float32.
        first, *rest = plots.loss_curves(epochs(0.10000000149, 0.10000000149), ends).axes
        assert first.get_ylabel() == "loss at β = 0.1 [nats per example]"
        assert [line.get_label() for line in first.lines] == ["training", "validation"]
        assert [axes.get_ylabel() for axes in rest] == ["log p(x|z) [nats per example]", "KL(q‖p) [nats per example]"]


@pytest.mark.parametrize(
    ("betas", "ends", "final", "span"),
    [
        ((0.0, 0.5, 1.0), None, 1.0, "0 to 1"),
        ((0.0, 0.5, 1.0), (0.0, 4.0), 4.0, "0 to 4"),
        # The first epoch ended at the final β and began elsewhere.
        ((1.0, 1.0), (0.0, 1.0), 1.0, "0 to 1"),
        # Cut off before β had moved.
        ((0.0,), (0.0, 1.0), 1.0, "0 to 1"),
    ],
)
def test_losses_of_a_beta_that_moves_are_drawn_at_the_final_one(betas, ends, final, span):
    terms = {"train/log_likelihood": -7.0, "train/kl": 2.0, "val/log_likelihood": -8.0, "val/kl": 1.5}
    first, *rest = plots.loss_curves(epochs(*betas, **terms), ends).axes
    label = f"−log p(x|z) + β·KL(q‖p) [nats per example]\nat the final β = {final:g}; in training β from {span}"
    assert first.get_ylabel() == label
    assert [line.get_label() for line in first.lines] == ["training", "validation"]
    assert [set(line.get_ydata()) for line in first.lines] == [{7 + 2 * final}, {8 + 1.5 * final}]
    assert len(rest) == 2


def test_loss_curves_of_histories_without_a_beta_or_without_validation_are_drawn():
    first, *_ = plots.loss_curves([{"epoch": 0, "train/loss": 2.0}, {"epoch": 1, "train/loss": 1.0}]).axes
    assert first.get_ylabel() == "loss [nats per example]"
    assert [list(line.get_ydata()) for line in first.lines] == [[2.0, 1.0]]
    partly = epochs(0.0, 0.5)
    del partly[0]["train/beta"], partly[1]["val/loss"]
    assert len(plots.loss_curves(partly, (0.0, 1.0)).axes) == 3
    # Without a KL, as a plain autoencoder.
    partly[1] |= {"train/log_likelihood": -5.0}
    (line,) = plots.loss_curves(partly, (0.0, 1.0)).axes[0].lines
    assert line.get_xydata().tolist() == [[1.0, 5.0]]


def test_figures_have_one_style_and_leave_matplotlibs_settings_alone():
    before = dict(rcParams)
    with rc_context({"xtick.labelsize": 20, "font.size": 20}):
        mine = dict(rcParams)
        figure = plots.survival_curves({"test data": torch.rand(50) + 1}, "t")
        assert dict(rcParams) == mine
        # Ticks are made while the figure is saved.
        figure.draw_without_rendering()
    assert dict(rcParams) == before
    (axes,) = figure.axes
    assert {label.get_fontsize() for label in [*axes.get_xticklabels(), *axes.get_yticklabels()]} == {8.0}
    assert not axes.spines.top.get_visible()
    with pytest.raises(StopIteration):
        plots.survival_curves({}, "t")
    assert dict(rcParams) == before
