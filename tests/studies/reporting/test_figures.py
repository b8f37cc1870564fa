"""The report's figures: from the table of results and the examples that runs kept."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support import made
from tests.support.labels import cut_labels, overprinted_labels
from vae_hydra.runs.examples import load_examples
from vae_hydra.studies.reporting import collect, figures, pivot, results
from vae_hydra.studies.reporting.compared import compared
from vae_hydra.studies.reporting.write import draw

METRIC = "reconstruct/clean/half_sse"


def keep(folder, original, factor=1.0, noisy=None):
    """Examples as training keeps them: the reconstruction is the original times ``factor``."""
    (folder / "figures").mkdir()
    arrays = {"original": original, "reconstruction": original * factor, "labels": np.arange(len(original))}
    arrays |= {} if noisy is None else {"noisy": noisy, "denoised": noisy * factor}
    np.savez_compressed(folder / "figures" / "examples.npz", **arrays)


def images(seed, shape=(10, 1, 8, 8)):
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def test_a_sampler_looks_the_same_in_every_report(tmp_path):
    for sampler in ("normal", "student_t"):
        made.run(tmp_path / "few", sampler=sampler)
    for sampler in ("aaa", "deterministic", "normal", "student_t"):
        made.run(tmp_path / "many", sampler=sampler)
    made.run(tmp_path / "many", sampler="normal", sampler__positive="exp")
    few, many = (figures.styles(results([tmp_path / name])) for name in ("few", "many"))
    assert few["student_t"] == many["student_t"]
    assert few["normal"].colour == many["normal positive=none"].colour == many["normal positive=exp"].colour
    assert len(set(many.values())) == 5


def test_curves_over_beta_have_a_point_for_each(tmp_path):
    for sampler in ("normal", "lognormal"):
        for beta in (0.01, 0.1, 1.0):
            for seed in (0, 1):
                made.run(tmp_path, metrics=beta + seed, sampler=sampler, seed=seed, beta__value=beta)
        made.run(tmp_path, sampler=sampler, dataset="mnist")
    frame = results([tmp_path])
    (drawn,) = figures.beta_curves(frame, [pivot(frame, METRIC)], figures.styles(frame))
    (axes,) = drawn.figure.axes
    assert axes.get_title() == "digits, noise none"
    lines = [line for line in axes.lines if len(line.get_xdata()) == 3 and line.get_marker() in "os"]
    for line in lines:
        np.testing.assert_allclose(line.get_xydata(), [[0.01, 0.51], [0.1, 0.6], [1.0, 1.5]])
    assert len(lines) == 2


def test_without_a_change_of_beta_there_are_no_curves(tmp_path):
    made.run(tmp_path)
    frame = results([tmp_path])
    assert list(figures.beta_curves(frame, [pivot(frame, METRIC)], {})) == []
    assert list(figures.denoising(frame)) == []


def test_the_matrix_of_denoising_is_training_by_testing(tmp_path):
    for training, scores in (("none", (1.0, 4.0, 9.0)), ("normal", (2.0, 3.0, 5.0)), ("uniform", (2.5, 4.5, 3.5))):
        for seed in (0, 1):
            names = ("reconstruct/clean", "denoise/normal", "denoise/uniform")
            metrics = {f"{name}/half_sse": score + seed for name, score in zip(names, scores, strict=True)}
            made.run(tmp_path, metrics, noise=training, seed=seed)
    (drawn,) = figures.denoising(results([tmp_path]))
    axes = drawn.figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["1.5", "4.5", "9.5", "2.5", "3.5", "5.5", "3", "5", "4"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["none", "normal", "uniform"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["clean", "normal", "uniform"]


@pytest.mark.parametrize("noise", ["none", "normal"])
def test_samplers_are_compared_on_the_same_examples(noise, tmp_path):
    """Seed 1, which most samplers have; the one that was shown something else is left out."""
    noisy = None if noise == "none" else images(2)
    for sampler, seed, original, factor in [
        ("normal", 0, images(0), 1.0),
        ("normal", 1, images(1), 0.5),
        ("lognormal", 1, images(1), 0.25),
        ("student_t", 1, images(9), 0.75),
    ]:
        keep(made.run(tmp_path, sampler=sampler, seed=seed, noise=noise), original, factor, noisy)
    (drawn,) = figures.examples(compared(results([tmp_path])))
    assert "seed 1" in drawn.caption
    clean = drawn.figure.axes[0]
    assert [label.get_text() for label in clean.get_yticklabels()] == ["original", "normal", "lognormal"]
    low, high = images(1).min(), images(1).max()
    for row, factor in enumerate((1.0, 0.5, 0.25)):
        expected = np.clip((factor * images(1)[0, 0] - low) / (high - low), 0, 1)
        # Rows are eight pixels high, with a white line between.
        np.testing.assert_allclose(clean.images[0].get_array()[9 * row : 9 * row + 8, :8], expected, rtol=1e-5)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_points_are_shown_as_clouds(dimensions, tmp_path):
    points = images(0, (50, dimensions))
    for sampler in ("normal", "lognormal"):
        keep(made.run(tmp_path, sampler=sampler, noise="normal"), points, 0.9, points + 1)
    (drawn,) = figures.examples(compared(results([tmp_path])))
    assert len(drawn.figure.axes) == (1 if dimensions == 1 else 4)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"PK\x03\x04 cut short"),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-30]),
        lambda path: np.savez(path, original=np.array([{"code": 1}], dtype=object), reconstruction=images(0)),
        lambda path: np.savez(path, original=images(0)),
        lambda path: np.savez(path, original=images(0), reconstruction=images(0, (10, 1, 9, 9))),
        lambda path: np.savez(path, original=images(0, (10, 2, 8, 8)), reconstruction=images(0, (10, 2, 8, 8))),
        lambda path: np.savez(path, original=images(0, (3,)), reconstruction=images(0, (3,))),
        lambda path: path.unlink(),
    ],
)
def test_examples_that_cannot_be_shown_are_left_out(spoil, tmp_path):
    folder = made.run(tmp_path)
    keep(folder, images(0))
    spoil(folder / "figures" / "examples.npz")
    assert load_examples(folder) is None
    assert list(compared(collect([tmp_path]).frame)) == []


@pytest.mark.parametrize("long", [False, True])
def test_no_label_is_cut_and_none_is_printed_over_another(long, tmp_path):
    """Of names that are longer than any panel, too."""
    options = {"beta__duration_of_the_whole_ramp_in_epochs": 25} if long else {}
    noises = ("none", "a_noise_with_a_long_name_of_its_own" if long else "uniform")
    for sampler in (
        "normal",
        "lognormal",
        "inverse_gaussian",
        "generalised_hyperbolic_with_a_name" if long else "gamma",
    ):
        for noise in noises:
            for beta in (0.01, 1.0):
                names = ("reconstruct/clean/half_sse", *(f"denoise/{one}/half_sse" for one in noises[1:]))
                scores = {name: 10 * (place + beta) for place, name in enumerate(names, 1)}
                kept = {"sampler__positive": "softplus_of_features"} if long and beta == 1.0 else {}
                folder = made.run(tmp_path, scores, sampler=sampler, noise=noise, beta__value=beta, **options, **kept)
                keep(folder, images(0), 0.5, None if noise == "none" else images(1))
    found = collect([tmp_path])
    drawn = draw(found, [pivot(found.frame, METRIC)], compared(found.frame))
    assert {one.name.split("-")[0] for one in drawn} == {"examples", "means", "beta", "denoising"}
    for figure in (one.figure for one in drawn):
        assert (cut_labels(figure), overprinted_labels(figure)) == ([], [])
