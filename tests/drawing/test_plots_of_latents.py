"""Mosaics, histograms, bars, planes and tails show the numbers they are given, where they belong."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch
from matplotlib.colors import to_hex
from sklearn.decomposition import PCA

from vae_hydra.drawing import plots
from vae_hydra.drawing.plots.tails import survival


def test_tiles_of_a_mosaic_are_in_their_rows_and_columns():
    images = torch.arange(6.0).reshape(2, 3, 1, 1, 1).expand(2, 3, 1, 4, 5)
    mosaic = plots.Mosaic(images, ["up", "down"], ["a", "b", "c"], [None, 2])
    (axes,) = plots.image_mosaics({"": mosaic}, (0, 5)).axes
    shown = np.asarray(axes.images[0].get_array())
    assert shown.shape == (2 * 5 - 1, 3 * 6 - 1)
    assert shown[:4, 6:11] == pytest.approx(1 / 5)
    assert shown[5:, :5] == pytest.approx(3 / 5)
    assert (shown[4] == 1).all()  # the line between two rows is white
    assert [label.get_text() for label in axes.get_yticklabels()] == ["up", "down"]
    assert axes.get_xticks().tolist() == [2, 8, 14]  # the middles of the tiles
    (frame,) = axes.patches
    assert (*frame.get_xy(), frame.get_width(), frame.get_height()) == (11.5, 4.5, 5, 4)


def test_many_names_of_a_mosaic_are_thinned_out():
    names = [str(number) for number in range(20)]
    (axes,) = plots.image_mosaics({"": plots.Mosaic(torch.zeros(20, 20, 1, 2, 2), names, names)}, (0, 1), gap=0).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == names[::2]
    assert axes.get_xticks()[1] == 4.5


def test_mosaics_beside_one_another_keep_their_titles():
    mosaics = {f"epoch {number}": plots.Mosaic(torch.zeros(2, 2, 3, 4, 4)) for number in range(5)}
    axes = plots.image_mosaics(mosaics, (0, 1), across=4).axes
    assert [one.get_title() for one in axes if one.images] == list(mosaics)


def test_draws_are_a_share_per_unit_of_all_of_them():
    """What is outside the axis counts: the histogram stays under the density instead of being blown up to 1."""
    draws, x = torch.randn(200_000), np.linspace(-1, 1, 50)
    density = scipy.stats.norm.pdf(x)
    panel = plots.OverDensity(draws, (-1.0, 1.0), x, density)
    axes = plots.draws_over_densities({"z": panel}, ("draws", "density", ""), "z").axes[0]
    heights, edges, _ = axes.patches[0].get_data()
    middles = (edges[1:] + edges[:-1]) / 2
    assert heights == pytest.approx(scipy.stats.norm.pdf(middles), abs=0.03)
    assert (heights * np.diff(edges)).sum() == pytest.approx(0.6827, abs=0.01)
    assert axes.lines[0].get_ydata() == pytest.approx(density, abs=1e-6)
    assert axes.get_xlim() == (-1, 1)


def test_an_infinite_density_does_not_flatten_the_rest():
    x = np.linspace(0, 4, 100)
    density = np.where(x == 0, np.inf, scipy.stats.gamma(0.1).pdf(np.maximum(x, 1e-9)))
    panel = plots.OverDensity(torch.full((1000,), 2.0), (0.0, 4.0), x, density)
    axes = plots.draws_over_densities({"z": panel}, ("draws", "density", ""), "z").axes[0]
    assert axes.get_ylim()[1] < 1.3 * axes.patches[0].get_data()[0].max()


def test_a_density_that_draws_lack_is_in_sight():
    x = np.linspace(-8, 8, 200)
    panel = plots.OverDensity(3 * torch.randn(1000), (-8.0, 8.0), x, scipy.stats.norm.pdf(x))
    axes = plots.draws_over_densities({"z": panel}, ("draws", "density", ""), "z").axes[0]
    assert axes.get_ylim()[1] > scipy.stats.norm.pdf(0)


def test_parameters_have_a_row_each_on_an_axis_that_suits_them():
    values = {"loc": torch.randn(500, 3), "scale": torch.randn(500, 3).exp() * 10 ** torch.arange(3.0)}
    figure = plots.parameter_histograms(values, ["z₁", "z₂", "z₃"], {"scale": 0.001})
    axes = np.array(figure.axes).reshape(2, 3)
    assert [row[0].get_ylabel() for row in axes] == ["loc", "scale"]
    assert [row[0].get_xscale() for row in axes] == ["linear", "log"]
    assert [one.get_title() for one in axes[0]] == ["z₁", "z₂", "z₃"]
    counts, edges, _ = axes[1, 2].patches[0].get_data()
    expected = np.histogram(values["scale"][:, 2], edges)[0]
    assert counts[1:-1].tolist() == expected[1:-1].tolist()
    assert counts.sum() == 500
    # The mark is in sight however far out it is.
    assert edges[0] <= 0.001
    assert axes[1, 0].lines[0].get_xdata() == [0.001, 0.001]


def test_values_before_and_after_share_their_bins():
    clean, noisy = torch.rand(10_000), torch.rand(10_000) + 1
    (axes,) = plots.value_histograms({"uniform": {"clean": clean, "noisy": noisy}}, "pixel value").axes
    one, other = (patch.get_data() for patch in axes.patches)
    np.testing.assert_array_equal(one[1], other[1])
    middle = np.searchsorted(one[1], 1.0)
    assert one[0][middle + 1 :].sum() == 0
    assert other[0][middle + 1 : -1] == pytest.approx(1, abs=0.4)


def test_survival_is_the_share_of_the_sample_above_each_value():
    sample = torch.from_numpy(np.random.default_rng(0).pareto(2, 500)).float()
    values, shares = survival(sample)
    expected = [(sample.numpy() > value).mean() for value in values]
    assert len(values) == 499
    assert shares == pytest.approx(expected)
    axes = plots.survival_curves({"test data": sample, "generated": sample + 1}, "t").axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert axes.lines[1].get_xdata() == pytest.approx(values + 1)


def test_curves_of_a_tail_index_hold_the_truth_and_leave_out_what_is_not_finite():
    counts, hill = [10, 20, 50, 100], [0.4, 0.5, 0.45, 0.5]
    panels = {"Hill": {"test data": hill}, "Pickands": {"test data": [float("nan"), -1.0, float("inf"), 0.2]}}
    figure = plots.tail_index_curves(counts, panels, truth=3.0)
    one, other = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["Hill", "Pickands"]
    assert one.get_xscale() == "log"
    assert one.lines[0].get_ydata() == pytest.approx(hill)
    assert other.lines[0].get_xdata().tolist() == [20, 100]
    assert list(one.lines[1].get_ydata()) == [3.0, 3.0]
    # All panels have one vertical axis, in which the truth is in sight.
    assert one.get_ylim() == other.get_ylim()
    assert one.get_ylim()[1] > 3
    without = plots.tail_index_curves(counts, panels)
    assert len(without.axes[0].lines) == 1
    assert without.axes[0].get_ylim()[1] < 1


def test_kl_bars_fall_and_those_below_the_threshold_are_told_apart_without_colour():
    axes = plots.kl_bars([0.5, 2.0, 0.001, 0.02], ["z₁", "z₂", "z₃", "z₄"], 0.01).axes[0]
    assert [bar.get_height() for bar in axes.patches] == [2.0, 0.5, 0.02, 0.001]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["z₂", "z₁", "z₄", "z₃"]
    looks = [(to_hex(bar.get_facecolor()), bar.get_hatch()) for bar in axes.patches]
    assert looks[0] == looks[2]
    assert looks[3][0] != looks[0][0]
    assert looks[3][1]
    assert axes.lines[0].get_ydata() == [0.01, 0.01]
    assert axes.get_title() == "3 of 4 latents reach 0.01 nats; 2.52 nats together"
    # A bar of less than the threshold would be no bar on a linear axis.
    assert axes.get_yscale() == "log"
    assert plots.kl_bars([0.5, 2.0], ["z₁", "z₂"], 0.01).axes[0].get_yscale() == "linear"


def test_kl_over_time_has_its_weight_on_another_axis():
    history = [{"epoch": e, "train/kl": 3.0 - e, "train/beta": 0.25 * e} for e in range(3)]
    history[1]["val/kl"] = 2.5
    kl, beta = plots.kl_over_time(history).axes
    assert [list(line.get_ydata()) for line in kl.lines] == [[3.0, 2.0, 1.0], [2.5]]
    assert [list(line.get_ydata()) for line in beta.lines] == [[0.0, 0.25, 0.5]]
    assert [text.get_text() for text in kl.get_legend().get_texts()] == ["training", "validation", "β"]


def test_a_plane_of_components_is_that_of_principal_components():
    codes = torch.randn(200, 5) * torch.tensor([1.0, 4.0, 0.5, 2.0, 0.1])
    axes = plots.latent_plane(codes, torch.arange(200) % 3).axes[0]
    pca = PCA(2).fit(codes.numpy())
    points = np.asarray(axes.collections[0].get_offsets())
    assert np.abs(points) == pytest.approx(np.abs(pca.transform(codes.numpy())), abs=1e-3)
    # The greatest weight of a component is positive: here those of latents 1 and 3.
    assert np.corrcoef(points[:, 0], codes[:, 1])[0, 1] > 0.9
    assert np.corrcoef(points[:, 1], codes[:, 3])[0, 1] > 0.9
    assert axes.get_xlabel() == f"component 1 ({pca.explained_variance_ratio_[0]:.0%} of the variance)"


@pytest.mark.filterwarnings("error")
def test_codes_without_variance_have_a_plane():
    axes = plots.latent_plane(torch.ones(20, 3), torch.arange(20) % 2).axes[0]
    assert axes.get_xlabel() == "component 1 (0% of the variance)"


def test_classes_of_a_plane_are_named_at_their_medians():
    codes, y = torch.randn(90, 2), torch.arange(90) % 3
    axes = plots.latent_plane(codes, y).axes[0]
    assert [text.get_text() for text in axes.texts] == ["0", "1", "2"]
    for label, text in enumerate(axes.texts):
        assert text.xy == pytest.approx(np.median(codes[y == label], axis=0))


def test_a_plane_of_positive_latents_that_spread_wide_is_logarithmic():
    codes, y = torch.randn(500, 2).mul(2).exp(), torch.zeros(500)
    axes = plots.latent_plane(codes, y).axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    ends = np.quantile(codes[:, 0], [0.005, 0.995])
    assert 0.3 * ends[0] < axes.get_xlim()[0] < ends[0]
    assert ends[1] < axes.get_xlim()[1] < 3 * ends[1]
    assert plots.latent_plane(codes.log(), y).axes[0].get_xscale() == "linear"


def test_tsne_keeps_clusters_apart_and_is_seeded():
    codes = torch.randn(60, 6) + 30 * (torch.arange(60) % 2)[:, None]
    y = torch.arange(60) % 2
    points = [plots.latent_plane(codes, y, "tsne", 0).axes[0].collections[0].get_offsets().data for _ in range(2)]
    np.testing.assert_array_equal(*points)
    centres = [points[0][y == label].mean(0) for label in (0, 1)]
    spread = points[0][y == 0].std()
    assert np.linalg.norm(centres[0] - centres[1]) > 3 * spread
