"""Outliers against test examples: the AUROC by counting, scores in closed form, and the command on small runs."""

from __future__ import annotations

import json
import math
import struct

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from sklearn.metrics import roc_auc_score
from torch.distributions import Normal, kl_divergence

from tests.support.composing import QUICK, composed, options
from tests.support.device import OPENED_ON
from tests.support.linear_model import SCALE, D, exact_log_density, linear_model
from vae_hydra import ood as door
from vae_hydra.analysis.outliers import command
from vae_hydra.analysis.outliers.command import ood
from vae_hydra.analysis.outliers.scores import SCORES, auroc, compressed_length, outlier_scores
from vae_hydra.data.noise import Noise
from vae_hydra.data.sources.inverse_gaussian_2d import draw_inverse_gaussian_2d
from vae_hydra.drawing import plots
from vae_hydra.runs.build import build_data, build_experiment
from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import train
from vae_hydra.studies.reporting import results
from vae_hydra.training.module import VAEModule


@pytest.mark.parametrize("ties", [False, True])
def test_auroc_counts_pairs(ties):
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(size=50), rng.normal(0.7, 2.0, size=70)
    if ties:
        inside, outside = inside.round(), outside.round()
    outside[:3] = np.inf
    pairs = (outside[:, None] > inside) + 0.5 * (outside[:, None] == inside)
    assert auroc(inside, outside).value == pytest.approx(pairs.mean(), abs=1e-12)
    finite = [np.nan_to_num(sample, posinf=1e9) for sample in (inside, outside)]
    assert auroc(inside, outside).value == pytest.approx(
        roc_auc_score([0] * 50 + [1] * 70, np.concatenate(finite)), abs=1e-12
    )
    assert auroc(outside, inside).value == pytest.approx(1 - pairs.mean(), abs=1e-12)


def test_standard_error_is_that_of_the_bootstrap_and_of_fresh_samples():
    rng = np.random.default_rng(1)
    inside, outside = rng.normal(size=150), rng.normal(1.0, 1.5, size=250)
    resampled = [auroc(rng.choice(inside, 150), rng.choice(outside, 250)).value for _ in range(700)]
    fresh = [auroc(rng.normal(size=150), rng.normal(1.0, 1.5, size=250)).value for _ in range(700)]
    assert auroc(inside, outside).standard_error == pytest.approx(np.std(resampled), rel=0.1)
    assert auroc(inside, outside).standard_error == pytest.approx(np.std(fresh), rel=0.15)
    assert auroc([0, 1], [2, 3]) == (1.0, 0.0)


@pytest.mark.parametrize("samples", [([1.0], [2.0, 3.0]), ([1.0, math.nan], [2.0, 3.0])])
def test_auroc_refuses_short_samples_and_nan(samples):
    with pytest.raises(ValueError, match="two samples of at least two numbers"):
        auroc(*samples)


def test_png_is_long_for_noise_and_short_for_flat_images():
    noise, flat = torch.rand(5, 2, 20, 20), torch.full((5, 2, 20, 20), 0.3)
    # By Shannon, no code is shorter on average; PNG adds a byte per row and less than 80 more.
    byte = 8 * math.log(2)
    assert (compressed_length(noise, (0, 1)) > 800 * byte).all()
    assert (compressed_length(noise, (0, 1)) < 920 * byte).all()
    assert (compressed_length(flat, (0, 1)) < 100 * byte).all()
    # Values are relative to black and white, and clipped there.
    torch.testing.assert_close(compressed_length(5 * noise - 3, (-3, 2)), compressed_length(noise, (0, 1)))
    torch.testing.assert_close(compressed_length(noise + 2, (0, 1)), compressed_length(torch.ones_like(noise), (0, 1)))


def test_scores_of_a_linear_gaussian_model_are_their_closed_forms():
    vae = linear_model(exact=True)
    module = VAEModule(vae, Noise("none"), beta=None, objective=None)
    # Examples from the model's own range, and others far outside.
    x = torch.cat([torch.randn(8, D), torch.randn(8, D) + 4]).double()
    first, density = outlier_scores(module, x, (0, 1), samples=1), exact_log_density(x)
    assert list(first) == ["half_sse", "negative_log_likelihood", "kl", "negative_elbo", "nll"]
    q = vae.encode(x)
    torch.testing.assert_close(first["kl"], kl_divergence(q, Normal(0.0, 1.0)).sum(-1))
    constant = D / 2 * math.log(2 * math.pi * SCALE**2)
    torch.testing.assert_close(first["negative_log_likelihood"], first["half_sse"] / SCALE**2 + constant)
    torch.testing.assert_close(first["negative_elbo"], first["negative_log_likelihood"] + first["kl"])
    # With the exact posterior one importance sample is log p(x), and the ELBO is log p(x) on average.
    torch.testing.assert_close(first["nll"], -density, rtol=1e-4, atol=1e-3)
    elbos = -torch.stack([outlier_scores(module, x, (0, 1), seed)["negative_elbo"] for seed in range(100)])
    assert ((elbos.mean(0) - density).abs() < 4 * elbos.std(0) / 10).all()
    assert auroc(first["nll"][:8], first["nll"][8:]).value > 0.95


@pytest.mark.parametrize(
    "overrides",
    [
        *((f"sampler={sampler}",) for sampler in options("sampler")),
        ("noise=normal", "noise.mode=stacked", "model=conv"),
        ("likelihood=bernoulli", "classifier=mlp"),
        ("sampler.kl=monte_carlo", "trainer.precision=64-true"),
    ],
    ids=" ".join,
)
def test_scores_of_an_example_do_not_depend_on_other_examples(overrides):
    module, data = build_experiment(composed(*QUICK, *overrides))
    module.double() if "trainer.precision=64-true" in overrides else module
    has_elbo = module.vae.sampler.has_elbo
    x = data.prepared("test", 30).x

    def scores(examples: torch.Tensor, seed: int = 0) -> dict[str, torch.Tensor]:
        return outlier_scores(module.eval(), examples, (0, 1), seed, samples=3 if has_elbo else 0)

    every, order = scores(x), torch.randperm(30)
    wanted = [name for name in SCORES if has_elbo or name in ("half_sse", "negative_log_likelihood")]
    assert list(every) == wanted
    assert all(value.shape == (30,) and torch.isfinite(value).all() for value in every.values())
    for name, value in scores(x[order][:7]).items():
        torch.testing.assert_close(value, every[name][order][:7], rtol=1e-4, atol=1e-4)
    state = torch.get_rng_state()
    assert torch.equal(scores(x, seed=1)["half_sse"], every["half_sse"]) != has_elbo
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("sampler", ["normal", "lognormal"])
def test_an_example_that_overflows_the_model_scores_highest(sampler):
    module, data = build_experiment(composed(*QUICK, f"sampler={sampler}"))
    x = data.prepared("test", 4).x
    x[2] = 1e30
    scores = outlier_scores(module, x, (0, 1))
    assert all(torch.equal(value.isinf(), torch.tensor([False, False, True, False])) for value in scores.values())


# Below: the command. FashionMNIST files with images of 8×8 pixels fit a run on digits.
@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with FashionMNIST files of 8×8 images, each of a single grey."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for part, count in (("train", 20), ("t10k", 40)):
        pixels = bytes(value for image in range(count) for value in [5 * image] * 64)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">iiii", 0x803, count, 8, 8) + pixels)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">ii", 0x801, count) + bytes(count))
    return root


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Runs by their overrides, each trained once: trained(*overrides)."""
    output, runs = tmp_path_factory.mktemp("outputs"), {}

    def run(*overrides: str) -> Run:
        if overrides not in runs:
            config = composed(*QUICK, f"output_dir={output}", "test_noises=null", *overrides)
            train(config)
            runs[overrides] = Run.of(config)
        return runs[overrides]

    return run


BRIEFLY = ("+trainer.limit_train_batches=2", "trainer.max_epochs=1")
DIGITS = ("trainer.max_epochs=5", "optimizer.lr=3e-3")


@pytest.fixture
def ask(configure, monkeypatch):
    """Run ood without its figure: ask(run, *overrides) → scores and the file's content."""
    monkeypatch.setattr(command, "_draw", lambda path, *_: path)

    def make(run: Run, *overrides: str) -> tuple[dict[str, float], dict]:
        before = set((run.folder / "evaluations").glob("ood-*.json"))
        scores = ood(configure(f"run={run.folder}", OPENED_ON, *overrides, name="ood"))
        written = {path: path.stat().st_mtime_ns for path in (run.folder / "evaluations").glob("ood-*.json")}
        target = max(written, key=lambda path: written[path])
        assert len(written) - len(before) in (0, 1)
        return scores, json.loads(target.read_text())

    return make


def test_a_trained_run_separates_outliers_from_digits(trained, ask, files):
    run = trained(*DIGITS)
    scores, written = ask(run, f"dataset_root={files}", "limit=200")
    sets = ["fashion_mnist", "pixels", "shuffled", "normal", "lognormal", "uniform", "inverse_gaussian"]
    assert list(written["examples"].items()) == [("test", 200), ("fashion_mnist", 40), *((s, 200) for s in sets[1:])]
    names = ["half_sse", "negative_log_likelihood", "kl", "negative_elbo", "complexity_corrected"]
    both = [f"{name}_auroc{end}" for name in names for end in ("", "_standard_error")]
    assert list(scores) == [f"ood/{one}/{name}" for one in sets for name in both]
    assert written["scores"] == scores
    for outliers in ("pixels", "normal", "lognormal"):
        assert scores[f"ood/{outliers}/half_sse_auroc"] > 0.95
        assert scores[f"ood/{outliers}/negative_elbo_auroc"] > 0.95
    # With a fixed scale, the likelihood orders examples as the squared error does.
    assert scores["ood/shuffled/negative_log_likelihood_auroc"] == pytest.approx(
        scores["ood/shuffled/half_sse_auroc"], abs=1e-3
    )
    assert written["left_out"]["digits"] == "its examples are those of the run's own dataset"
    assert "shape 2, those of the run 1×8×8" in written["left_out"]["lognormal_2d"]
    assert "MNIST was not found" in written["left_out"]["mnist"]
    assert "dataset_root=FOLDER" in written["left_out"]["mnist"]
    assert written["clipped"] == {}
    table = results([run.folder])
    assert table["ood/pixels/half_sse_auroc"].item() == scores["ood/pixels/half_sse_auroc"]


def test_a_repeated_request_gives_the_same_and_another_has_its_own_file(trained, ask, tmp_path):
    run = trained(*DIGITS)
    first, written = ask(run, "against=[pixels,normal]", "nll.samples=4", "limit=50")
    assert set(written["examples"].values()) == {50}
    assert first["ood/pixels/nll_auroc"] > 0.9
    count = len(list((run.folder / "evaluations").glob("ood-*.json")))
    assert ask(run, "against=[pixels,normal]", "nll.samples=4", "limit=50")[0] == first
    assert len(list((run.folder / "evaluations").glob("ood-*.json"))) == count
    others = [
        ask(run, "against=[pixels,normal]", "limit=50", *other)[0]
        for other in ((), ("seed=1",), ("test_noises.normal.distribution.scale=0.1",))
    ]
    assert len(list((run.folder / "evaluations").glob("ood-*.json"))) == count + 3
    weak, strong = others[2]["ood/normal/half_sse_auroc"], others[0]["ood/normal/half_sse_auroc"]
    assert weak < strong
    moved = run.folder.rename(tmp_path / "moved")
    try:
        assert ask(Run.open(moved), "against=[pixels,normal]", "nll.samples=4", "limit=50")[0] == first
    finally:
        moved.rename(run.folder)


@pytest.fixture
def scored_sets(monkeypatch):
    """The sets that are scored: test examples first, then each set of outliers."""
    sets = []

    def remember(module, x, *options):
        sets.append(x)
        return outlier_scores(module, x, *options)

    monkeypatch.setattr(command, "outlier_scores", remember)
    return sets


def test_sets_of_outliers_have_the_distribution_of_their_name(trained, ask, scored_sets):
    ask(trained(*DIGITS), "against=[pixels,shuffled,uniform]")
    inside, pixels, shuffled, noisy = scored_sets
    assert pixels.mean().item() == pytest.approx(0.5, abs=0.01)
    assert pixels.var().item() == pytest.approx(1 / 12, abs=0.003)
    assert torch.equal(shuffled.flatten(1).sort().values, inside.flatten(1).sort().values)
    assert not torch.equal(shuffled[0], inside[0])
    noise = noisy - inside
    assert noise.min() >= -1e-6
    assert noise.max() <= 1
    assert noise.mean().item() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("overrides", "asked", "values"),
    [
        (("likelihood=continuous_bernoulli", *BRIEFLY), (), "unit"),
        (("likelihood=bernoulli", "dataset.binarise=static", *BRIEFLY), ("nll.samples=2",), "binary"),
        (("sampler=deterministic", "noise=normal", "noise.mode=stacked", *BRIEFLY), (), "any"),
    ],
    ids=["unit", "binary", "any"],
)
def test_outliers_are_clipped_and_binarised_for_the_model(overrides, asked, values, trained, ask, scored_sets):
    _, written = ask(trained(*overrides), "against=[pixels,normal]", "limit=20", *asked)
    assert set(written["clipped"]) == (set() if values == "any" else {"normal"})
    for x in scored_sets[1:]:
        assert x.shape == (20, 1, 8, 8)
        assert (x.unique().tolist() == [0, 1]) == (values == "binary")
    assert ((scored_sets[2] < 0) | (scored_sets[2] > 1)).any() == (values == "any")


def test_vectors_have_outliers_too(trained, ask):
    points = ("dataset=student_t_mixture", "dataset.train_size=500", "dataset.test_size=200", *BRIEFLY)
    scores, written = ask(trained(*points, "dataset.dimensions=2", "noise=uniform"), "limit=50")
    assert {"lognormal_2d", "inverse_gaussian_2d", "pixels", "shuffled", "uniform"} <= set(written["examples"])
    assert "shape 1, those of the run 2" in written["left_out"]["student_t_mixture"]
    assert not any("complexity" in name for name in scores)
    with pytest.raises(ValueError, match="against=shuffled: an example has one value"):
        ask(trained(*points), "against=[shuffled]")


def test_points_are_scaled_as_those_of_the_run(trained, ask, scored_sets):
    """By their own statistics they would not be outliers any more."""
    run = trained("dataset=lognormal_2d", "dataset.scaling=standard", *BRIEFLY)
    ask(run, "against=[inverse_gaussian_2d]")
    own = {**run.config["dataset"], "scaling": "none"}
    training = build_data({**run.config, "dataset": own}).prepared("train").x.double()
    back = scored_sets[1].double() * training.std(0, correction=0) + training.mean(0)
    points = draw_inverse_gaussian_2d(1.0, 0.01, seed=0).test.x.double()
    torch.testing.assert_close(back.sort(0).values, points.sort(0).values, rtol=1e-4, atol=1e-4)


def test_a_likelihood_of_positive_data_has_no_outliers_with_other_values(trained, ask):
    points = ("dataset=pareto", "dataset.train_size=500", "dataset.test_size=200", *BRIEFLY)
    run = trained(*points, "likelihood=lognormal")
    _, written = ask(run, "limit=50")
    assert {"lognormal_2d", "inverse_gaussian_2d", "pixels", "shuffled"} <= set(written["examples"])
    assert "not > 0, where this model's likelihood has no density" in written["left_out"]["alpha_stable"]
    assert written["clipped"] == {}
    with pytest.raises(ValueError, match="against=alpha_stable: .* not > 0"):
        ask(run, "against=[alpha_stable]")


@pytest.mark.parametrize(
    ("overrides", "asked", "message"),
    [
        (
            DIGITS,
            ("against=[imagenet]",),
            "against must be one of .*, digits, .*, pixels, shuffled, .*, but got 'imagenet'",
        ),
        (DIGITS, ("against=[lognormal_2d]",), "against=lognormal_2d: its examples have shape 2, .* 1×8×8"),
        (DIGITS, ("against=[digits]",), "against=digits: its examples are those of the run's own"),
        (
            DIGITS,
            ("against=fashion_mnist", "dataset_root=nowhere"),
            "against=fashion_mnist: .*not found.*dataset_root=",
        ),
        (DIGITS, ("against=[]",), "against must be null or a list of names"),
        (DIGITS, ("against=3",), "against must be null or a list of names, but got 3"),
        (DIGITS, ("limit=1",), "limit must be an integer ≥ 2, but got 1"),
        (DIGITS, ("nll.samples=-1",), "nll.samples must be an integer ≥ 0"),
        (DIGITS, ("seed=-1",), "seed must be"),
        (("likelihood=bernoulli", *BRIEFLY), ("nll.samples=2",), "not a normalised density"),
        (("sampler=deterministic", *BRIEFLY), ("nll.samples=2",), "no posterior density"),
        (("condition=both", *BRIEFLY), (), "an outlier has none; use a run of condition=none"),
    ],
)
def test_bad_requests_are_refused(overrides, asked, message, trained, ask):
    with pytest.raises(ValueError, match=message):
        ask(trained(*overrides), *asked)


def test_on_the_command_line(trained, run_command):
    run = trained(*DIGITS)
    code, text = run_command(door, f"run={run.folder}", "against=[pixels]", "limit=30", OPENED_ON)
    assert code == 0
    assert "half-SSE" in text
    assert "0.5 is chance" in text
    (picture,) = (run.folder / "figures").glob("ood-*.png")
    assert str(picture) in text
    assert imread(picture).shape[1] > 1000
    code, text = run_command(door, f"run={run.folder}", "against=[pixel]")
    assert code == 2
    assert "but got 'pixel'" in text


def test_contrasts_show_both_samples_and_survive_infinities():
    inside, outside = np.linspace(1, 2, 100), np.concatenate([np.linspace(50, 90, 99), [np.inf]])
    flat = np.zeros(100)
    rows = {
        "far": {"a": plots.Contrast(inside, outside, "AUROC 1"), "b": plots.Contrast(-inside, flat, "AUROC 1")},
        "gone": {"a": plots.Contrast(inside, np.full(3, np.inf), "?"), "b": plots.Contrast(flat, flat, "?")},
    }
    figure = plots.contrasts(rows, "digits", {"a": "half-SSE", "b": "KL"})
    assert [axes.get_xscale() for axes in figure.axes] == ["log", "linear", "linear", "linear"]
    low, high = figure.axes[0].get_xlim()
    assert low < 1.1
    assert high > 85
    assert [axes.get_title() for axes in figure.axes] == ["AUROC 1", "AUROC 1", "?", "?"]
    figure.draw_without_rendering()
    labels = [label for label in figure.axes[0].get_xticklabels(which="both") if label.get_text()]
    written = [label.get_text() for label in labels if low <= label.get_position()[0] <= high]
    assert {"1", "3", "10", "30"} <= set(written)
    assert all(text.strip("0") in ("1", "3") for text in written)
