"""Figures of a run: which apply to which run, their contents, at chosen epochs and by the command."""

from __future__ import annotations

import copy
import math
import shutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats
import torch
from scipy import integrate

from tests.support.composing import QUICK, composed, options
from tests.support.device import OPENED_ON
from tests.support.slowly import KINDS, rest_slow
from vae_hydra import figures as command
from vae_hydra.data.examples import Examples
from vae_hydra.distributions.tails import hill_statistic
from vae_hydra.drawing.callback import Figures
from vae_hydra.drawing.panels import DRAWN_BY_DEFAULT, PANELS, SAMPLES, Subject, chosen, drawn, keep_samples
from vae_hydra.drawing.panels.decoded import PROBABILITIES, STEPS, grid
from vae_hydra.drawing.plots import style
from vae_hydra.runs.build import build_experiment
from vae_hydra.runs.folder import Run
from vae_hydra.runs.identity import run_name
from vae_hydra.runs.posteriors import posteriors
from vae_hydra.runs.train import train
from vae_hydra.training.callbacks import Checkpoints

HISTORY = [{"epoch": 0.0, "train/kl": 2.0, "train/loss": 1.0, "train/beta": 1.0}]
OF_VECTORS = {"tails", "tail_index"}
OF_IMAGES = {"prior_samples", "quantile_grid", "traversals", "interpolations"}
# What no sampler changes.
OF_DATA = {"loss_curves", "reconstructions", "denoised", "noise_pixels"}
OF_A_KL = {"draws_over_density", "kl_per_latent", "kl_over_time"}
SCIPY = {
    "normal": scipy.stats.norm(),
    "lognormal": scipy.stats.lognorm(1.0),
    "inverse_gaussian": scipy.stats.invgauss(1.0),
    "student_t": scipy.stats.t(5.0),
    "laplace": scipy.stats.laplace(),
    "gamma": scipy.stats.gamma(2.0, scale=0.5),
    "weibull": scipy.stats.weibull_min(1.0),
}


@cache
def untrained(*overrides: str) -> Subject:
    module, data = build_experiment(composed(*QUICK, "model.latent_dim=2", *overrides))
    return Subject(module, data, HISTORY, Path("nowhere"), seed=3, samples=4)


def reasons(subject: Subject, names: Iterable[str] = PANELS) -> dict[str, str]:
    """Draw figures; the names of those that do not apply and why not."""
    return {name: figure for name, figure in drawn(subject, names) if isinstance(figure, str)}


def picture(name: str, subject: Subject) -> np.ndarray:
    ((_, figure),) = drawn(subject, [name])
    return np.asarray(figure.axes[0].images[0].get_array())


def decoded(subject: Subject, z: torch.Tensor) -> np.ndarray:
    low, high = subject.data.value_range()
    with torch.no_grad():
        return np.clip((subject.module.vae.decode(z).mean.numpy() - low) / (high - low), 0, 1)


@pytest.mark.parametrize(("beta", "label"), [("constant", "loss at β = 1"), ("linear", "−log p(x|z) + β·KL(q‖p)")])
def test_losses_are_at_one_beta_and_say_which(beta, label):
    """Also while the history, of one epoch here, does not show that β moves."""
    ((_, figure),) = drawn(untrained(f"beta={beta}"), ["loss_curves"])
    assert figure.axes[0].get_ylabel().startswith(label)
    assert "β = 1" in figure.axes[0].get_ylabel()


def without_kl(sampler):
    """The figures that a sampler lacks, because it has no KL, or one KL for all latents together."""
    if sampler in ("normal_full", "von_mises_fisher", "flow", "multivariate_t"):
        return {"kl_per_latent"}
    if sampler == "radius_angle":
        return {"kl_per_latent", "posterior_parameters"}
    return OF_A_KL if sampler == "deterministic" else set()


@pytest.fixture
def without_layout(monkeypatch):
    """Draw figures without making their labels fit, which takes half of the time and has tests of its own."""

    def draw(figure):
        figure.set_layout_engine("none")
        figure.draw_without_rendering()

    monkeypatch.setattr(style, "fit", draw)


@pytest.mark.usefixtures("without_layout")
@pytest.mark.parametrize("sampler", rest_slow(options("sampler")))
def test_every_figure_of_images_draws_or_says_why_not(sampler):
    found = reasons(untrained(f"sampler={sampler}", "noise=uniform"), PANELS.keys() - OF_DATA)
    no_kl = without_kl(sampler)
    assert found.keys() == {"samples_by_epoch", *OF_VECTORS, *no_kl}


@pytest.mark.usefixtures("without_layout")
@pytest.mark.parametrize("sampler", rest_slow(options("sampler")))
def test_every_figure_of_vectors_draws_or_says_why_not(sampler):
    """Figures of latents, which do not ask what the data are, for one sampler of each kind."""
    small = ("dataset=student_t_mixture", "dataset.train_size=300", "dataset.test_size=300", "dataset.dimensions=2")
    names = PANELS.keys() - OF_DATA if sampler in KINDS else OF_VECTORS
    found = reasons(untrained(f"sampler={sampler}", "noise=normal", *small), names)
    assert found.keys() == {"samples_by_epoch", *OF_IMAGES, *without_kl(sampler)} & names


@pytest.mark.usefixtures("without_layout")
@pytest.mark.parametrize(
    ("overrides", "left_out"),
    [
        (("condition=both", "noise=normal", "noise.mode=stacked"), {"latent_plane"}),
        pytest.param(("condition=encoder",), {"denoised", "latent_plane"}, marks=pytest.mark.slow),
        (("classifier=mlp", "model.latent_dim=40"), {"denoised", "quantile_grid"}),
        (("model.latent_dim=1", "test_noises=null"), {"denoised", "quantile_grid", "latent_plane", "noise_pixels"}),
        (("dataset=lognormal_2d", "noise=normal"), OF_IMAGES),
        pytest.param(("sampler=student_t", "sampler.learn_df=true"), {"denoised"}, marks=pytest.mark.slow),
    ],
)
def test_every_figure_of_other_models_draws_or_says_why_not(overrides, left_out):
    subject = untrained(*overrides)
    found = reasons(subject)
    of_others = OF_VECTORS if subject.are_images else set()
    assert found.keys() == {"samples_by_epoch", *of_others, *left_out}
    if subject.are_images and "quantile_grid" in left_out:
        assert "it needs 2 latents, this run has" in found["quantile_grid"]


@pytest.mark.parametrize("sampler", SCIPY)
def test_the_grid_is_decoded_at_the_priors_quantiles(sampler):
    subject = untrained(f"sampler={sampler}", "noise=uniform")
    at = SCIPY[sampler].ppf((np.arange(20) + 0.5) / 20)
    shown = picture("quantile_grid", subject)
    # A gap of a pixel between images.
    assert shown.shape == (179, 179)
    for row, column in ((0, 0), (0, 19), (13, 4)):
        z = torch.tensor([[at[column], at[19 - row]]], dtype=torch.float32)
        tile = shown[9 * row : 9 * row + 8, 9 * column : 9 * column + 8]
        assert tile == pytest.approx(decoded(subject, z)[0, 0], abs=1e-4)


def test_the_first_latent_of_a_grid_grows_to_the_right_and_the_second_upwards():
    z = grid(torch.tensor([[1.0, 10.0], [2.0, 20.0]]))
    assert z.tolist() == [[[1, 20], [2, 20]], [[1, 10], [2, 10]]]


def test_conditional_models_have_a_grid_of_every_class():
    ((_, figure),) = drawn(untrained("condition=both", "noise=normal", "noise.mode=stacked"), ["quantile_grid"])
    assert [axes.get_title() for axes in figure.axes if axes.images] == [f"class {label}" for label in range(10)]


def test_a_traversal_changes_one_latent_and_frames_the_examples_own_code():
    subject = untrained("sampler=lognormal", "noise=uniform")
    code = posteriors(subject.module, subject.examples(1)).codes[0]
    at = SCIPY["lognormal"].ppf(PROBABILITIES)
    ((_, figure),) = drawn(subject, ["traversals"])
    shown, frames = np.asarray(figure.axes[0].images[0].get_array()), figure.axes[0].patches
    assert (np.diff(subject.kl[subject.order]) <= 0).all()
    for row, latent in enumerate(subject.order, start=1):
        z = code.repeat(len(at), 1)
        z[:, latent] = torch.from_numpy(at)
        for column, tile in enumerate(decoded(subject, z)):
            part = shown[9 * row : 9 * row + 8, 9 * column : 9 * column + 8]
            assert part == pytest.approx(tile[0], abs=1e-4)
        nearest = np.abs(at - float(code[latent])).argmin()
        assert frames[row - 1].get_xy() == (9 * nearest - 0.5, 9 * row - 0.5)


def test_interpolations_lead_from_code_to_code_between_different_classes():
    subject = untrained("sampler=gamma", "noise=uniform")
    ((_, figure),) = drawn(subject, ["interpolations"])
    names = [label.get_text().split(" → ") for label in figure.axes[0].get_yticklabels()]
    assert sorted(label for pair in names for label in pair) == [str(label) for label in range(10)]
    shown = np.asarray(figure.axes[0].images[0].get_array())
    examples = subject.examples(1000)
    ends = []
    for label in names[0]:
        one = examples.x[(examples.y == int(label)).nonzero()[0, 0]]
        with torch.no_grad():
            ends.append((one, subject.module.vae.encode(one[None]).mean[0]))
    expected = [ends[0][0].numpy(), *(decoded(subject, torch.lerp(ends[0][1], ends[1][1], t)) for t in (0, 0.5, 1))]
    places = [0, 1, 1 + (STEPS - 1) // 2, STEPS]
    for place, tile in zip(places, expected, strict=True):
        assert shown[:8, 9 * place : 9 * place + 8] == pytest.approx(tile.reshape(8, 8), abs=1e-4)
    assert shown[:8, -8:] == pytest.approx(ends[1][0][0].numpy(), abs=1e-4)


@pytest.mark.parametrize("sampler", SCIPY)
def test_draws_are_distributed_as_their_density_says(sampler):
    ((_, figure),) = drawn(untrained(f"sampler={sampler}", "noise=uniform"), ["draws_over_density"])
    for axes in figure.axes:
        heights, edges, _ = axes.patches[0].get_data()
        x, density = axes.lines[0].get_data()
        fine = np.linspace(edges[:-1], edges[1:], 20)
        shares = integrate.trapezoid(np.interp(fine, x, density), fine, axis=0)
        # Five standard deviations of a bin's count of 20,000; the first bin of a density that is infinite at 0 aside.
        error = 5 * np.sqrt(np.maximum(shares, 1e-4) / 20_000)
        assert (np.abs(heights * np.diff(edges) - shares) < error + 0.002)[1:].all()
        assert 0.95 < np.sum(shares) < 1.02
    prior = figure.axes[0].lines[0]
    assert prior.get_ydata() == pytest.approx(SCIPY[sampler].pdf(prior.get_xdata()), rel=1e-3, abs=1e-4)


def test_tails_are_those_of_the_test_data():
    subject = untrained("dataset=inverse_gaussian_2d", "dataset.transform=log1p")
    ((_, figure),) = drawn(subject, ["tails"])
    x = torch.expm1(subject.data.prepared("test").x).numpy()
    distances = np.sort(np.linalg.norm(x - np.median(x, axis=0), axis=1))
    line = figure.axes[0].lines[0]
    assert line.get_xdata() == pytest.approx(distances[:-1], rel=1e-3, abs=1e-5)
    assert line.get_label().startswith("test data, Hill statistic 1.")


def test_a_tail_index_is_drawn_over_the_number_of_values_behind_it():
    """The last Hill estimate of the test data is the reciprocal of their Hill statistic at a tenth."""
    subject = untrained("dataset=inverse_gaussian_2d", "dataset.transform=log1p")
    ((_, figure),) = drawn(subject, ["tail_index"])
    x = torch.expm1(subject.data.prepared("test").x)
    distances = (x - x.median(0).values).norm(dim=1)
    line = figure.axes[0].lines[0]
    assert (line.get_xdata()[0], line.get_xdata()[-1]) == (10, len(x) // 10)
    assert line.get_ydata()[-1] == pytest.approx(1 / hill_statistic(distances, 0.1), rel=1e-3)
    assert [len(axes.lines) for axes in figure.axes] == [2, 2, 2]


def test_the_heaviest_column_is_the_true_tail_of_the_distance():
    module, data = build_experiment(composed(*QUICK, "model.latent_dim=2", "dataset=lognormal_2d"))
    data.truth = SimpleNamespace(tail_index=[math.inf, 4.0])
    ((_, figure),) = drawn(Subject(module, data, HISTORY, Path("nowhere"), seed=3, samples=4), ["tail_index"])
    assert figure.axes[0].lines[-1].get_label() == "truth, 0.25"


def test_a_tail_index_needs_some_values():
    small = ("dataset=student_t_mixture", "dataset.train_size=90", "dataset.test_size=90", "dataset.dimensions=1")
    assert reasons(untrained(*small), ["tail_index"]) == {"tail_index": "it needs at least 100 test examples"}


def test_parameters_of_a_posterior_that_do_not_vary_are_said():
    ((_, figure),) = drawn(untrained("sampler=student_t", "noise=uniform"), ["posterior_parameters"])
    assert "df = 5 everywhere" in figure.get_suptitle()
    assert {axes.get_ylabel() for axes in figure.axes} - {""} == {"loc", "scale"}


def test_models_in_double_precision_are_drawn():
    subject = untrained("sampler=gamma")
    double = Subject(copy.deepcopy(subject.module).double(), subject.data, [], Path("nowhere"), seed=3, samples=4)
    assert reasons(double, ["traversals", "interpolations", "draws_over_density", "kl_per_latent", "tails"]).keys() == {
        "tails"
    }


def test_a_figure_is_drawn_alike_alone_and_among_others_and_leaves_no_trace():
    subject = untrained("noise=uniform")
    subject.module.train()
    state = torch.get_rng_state()
    alone = picture("prior_samples", subject)
    fresh = Subject(subject.module, subject.data, HISTORY, Path("nowhere"), seed=3, samples=4)
    among = dict(drawn(fresh, ["reconstructions", "codes_against_prior", "prior_samples"]))["prior_samples"]
    np.testing.assert_array_equal(alone, among.axes[0].images[0].get_array())
    assert torch.equal(torch.get_rng_state(), state)
    assert subject.module.training


def test_names_are_chosen_in_the_order_of_the_table():
    assert chosen("show", "all") == list(PANELS)
    assert chosen("show", "default") == list(DRAWN_BY_DEFAULT)
    assert chosen("show", ["traversals", "loss_curves"]) == ["loss_curves", "traversals"]
    assert set(chosen("show", ["tails", "default"])) == {"tails", *DRAWN_BY_DEFAULT}


@pytest.mark.parametrize("show", [["traversal"], "traversal", [], None, 3])
def test_unknown_names_are_refused_with_the_list(show):
    with pytest.raises(ValueError, match="callbacks.figures.show must be"):
        Figures(show=show)
    if show in (["traversal"], "traversal"):
        with pytest.raises(ValueError, match="interpolations.*but got 'traversal'"):
            Figures(show=show)


@pytest.mark.parametrize("epochs", [-1, [-1], ["0"], 10])
def test_epochs_that_are_none_are_refused(epochs):
    with pytest.raises(ValueError, match="callbacks.figures.epochs"):
        Figures(epochs=epochs)


def test_options_that_draw_as_before_are_no_part_of_a_runs_name(configure):
    config = configure("callbacks.figures.enabled=true")
    before = configure("callbacks.figures.enabled=true")
    for option in ("epochs", "show"):
        del before["callbacks"]["figures"][option]
    assert run_name(config) == run_name(before)
    assert run_name(configure("callbacks.figures.enabled=true", "callbacks.figures.show=all")) != run_name(config)


AT_EPOCHS = ("trainer.max_epochs=3", "callbacks.figures.enabled=true", "callbacks.figures.samples=4")
CHOSEN = ("callbacks.figures.epochs=[0,2,3]", "callbacks.figures.show=[samples_by_epoch,kl_per_latent]")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two latents that drew chosen figures at chosen epochs, killed once on its way."""
    folder = tmp_path_factory.mktemp("figures")
    config = composed(*QUICK, "model.latent_dim=2", *AT_EPOCHS, *CHOSEN, f"output_dir={folder / 'outputs'}")
    save, drawn_at = Checkpoints._save, []

    def killed(self, trainer, name):
        drawn_at.append(epoch_0.stat().st_mtime_ns)
        if trainer.current_epoch == 1 and len(drawn_at) == 2:
            raise KeyboardInterrupt
        save(self, trainer, name)

    run = Run.of(config)
    epoch_0 = run.folder / "figures" / "epoch_0000" / "kl_per_latent.png"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "_save", killed)
        with pytest.raises(SystemExit):
            train(config)
        assert not run.is_done
        train(config)
    # Going on does not draw what was before training anew.
    assert len(set(drawn_at)) == 1
    return run


def test_chosen_figures_are_drawn_at_chosen_epochs(run):
    found = {path.relative_to(run.folder / "figures").as_posix() for path in run.folder.glob("figures/**/*.*")}
    of_an_epoch = {"kl_per_latent.png", "examples.npz", SAMPLES}
    epochs = {f"epoch_{epoch:04d}/{name}" for epoch in (0, 2, 3) for name in of_an_epoch}
    assert found == {*epochs, *of_an_epoch, "samples_by_epoch.png"}


def test_epoch_0_is_before_training_and_every_epoch_has_the_same_draws(run, tmp_path):
    config = run.config
    module, data = build_experiment(config)
    subject = Subject(module, data, [], tmp_path, module.seed, samples=4)
    keep_samples(subject, tmp_path / SAMPLES)
    kept = {path.parent.name: np.load(path)["samples"] for path in run.folder.glob(f"figures/**/{SAMPLES}")}
    np.testing.assert_allclose(kept["epoch_0000"], np.load(tmp_path / SAMPLES)["samples"], atol=1e-6)
    assert not np.allclose(kept["epoch_0000"], kept["epoch_0002"], atol=1e-3)
    # The best epoch was the last: the same weights, and the same draws of z.
    np.testing.assert_allclose(kept["epoch_0003"], kept["figures"], atol=1e-6)


def test_a_run_that_was_killed_shows_the_samples_of_one_that_was_not(run, tmp_path):
    unbroken = {**run.config, "output_dir": str(tmp_path)}
    train(unbroken)
    for path in run.folder.glob(f"figures/**/{SAMPLES}"):
        same = Run.of(unbroken).folder / path.relative_to(run.folder)
        np.testing.assert_array_equal(np.load(path)["samples"], np.load(same)["samples"])


def test_the_command_draws_what_is_asked_and_says_what_does_not_apply(run, run_command, tmp_path):
    # A run is known by its folder, wherever that was moved.
    moved = shutil.copytree(run.folder, tmp_path / "moved")
    asked = "show=[samples_by_epoch,quantile_grid,tails,latent_plane]"
    code, text = run_command(command, f"run={moved}", OPENED_ON, asked, f"output={tmp_path / 'out'}")
    assert code == 0, text
    names = {"samples_by_epoch.png", "quantile_grid.png", "latent_plane.png"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    assert "left out tails: it needs vectors" in text
    before = set(moved.glob("figures/*"))
    drawn_in_training = {path: path.read_bytes() for path in moved.glob("figures/*.png")}
    others = ["show=[latent_plane,prior_samples]", "plane=tsne", "samples=9", "seed=1", "checkpoint=last"]
    code, text = run_command(command, f"run={moved}", OPENED_ON, *others)
    assert code == 0, text
    new = {"latent_plane-last-s1-tsne.png", "prior_samples-last-s1-n9.png"}
    assert {path.name for path in set(moved.glob("figures/*")) - before} == new
    assert all(path.read_bytes() == content for path, content in drawn_in_training.items())
    code, text = run_command(command, f"run={moved}", OPENED_ON, "show=[kl_over_time]", f"seed={run.config['seed']}")
    assert code == 0, text
    assert (moved / "figures" / "kl_over_time.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show=[traversal]"], "show must be one of loss_curves, reconstructions"),
        (["show=[]"], "show must be all, default, or a list of names"),
        (["show=[tails]"], "none of the figures in show applies to this run: tails: it needs vectors"),
        (["plane=umap"], "plane must be one of pca, tsne, but got 'umap'"),
        (["seed=-1"], "seed must be an integer ≥ 0"),
        (["samples=0"], "samples must be an integer ≥ 1"),
        (["show=[kl_per_latent]", "output=there"], "output=there holds kl_per_latent.png already; give another folder"),
        (["output=there/kl_per_latent.png"], "is a file; give a folder"),
        (["output=5"], "output must be a folder, but got 5"),
        (["run=nowhere"], "run=nowhere is not a run"),
    ],
)
def test_the_command_refuses_what_it_cannot_do(arguments, message, run, run_command, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "kl_per_latent.png").write_text("mine")
    where = [] if any(argument.startswith("run=") for argument in arguments) else [f"run={run.folder}"]
    code, text = run_command(command, *where, OPENED_ON, *arguments)
    assert code == 2
    assert message in text
    assert "Traceback" not in text
    assert (tmp_path / "there" / "kl_per_latent.png").read_text() == "mine"


def test_the_help_names_every_figure(run_command):
    code, text = run_command(command, "--help")
    assert code == 0
    assert not [name for name in PANELS if name not in text]


def test_figures_after_an_epoch_show_that_epoch_too(configure, monkeypatch):
    """Also where metrics.csv is written later, at most every few seconds."""
    seen = {}

    def remember(subject, names):
        seen[len(subject.history)] = [row["epoch"] for row in subject.history]
        return iter(())

    monkeypatch.setattr("vae_hydra.drawing.panels.drawn", remember)
    later = "callbacks.checkpoints.every_seconds=100"
    options = ("callbacks.figures.enabled=true", "callbacks.figures.epochs=[2,3]", later)
    train(configure(*options, "trainer.max_epochs=4", "dataset.fraction=0.1", "test_noises=null"))
    assert seen == {2: [0, 1], 3: [0, 1, 2], 4: [0, 1, 2, 3]}


def test_interpolations_need_two_examples(configure, tmp_path):
    subject = untrained("dataset.fraction=0.1")
    examples = subject.examples(2)
    few = Examples(examples.x, torch.zeros(2, dtype=torch.long))
    for count in (2, 1):
        subject.examples = lambda number, count=count: few[torch.arange(count)]
        ((_, figure),) = drawn(subject, ["interpolations"])
        assert isinstance(figure, str) == (count == 1)
