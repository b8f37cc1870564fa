"""Guards and pictures."""

from __future__ import annotations

import logging
import math
import time

import numpy as np
import pytest
import scipy.stats
import torch

from vae_hydra.base.files import replace_atomically
from vae_hydra.drawing import plots
from vae_hydra.drawing.callback import Figures
from vae_hydra.runs.build import build_experiment
from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import train
from vae_hydra.training.callbacks import CollapseWarning, EarlyStop, EpochTimer, Progress
from vae_hydra.training.history import History, read_epochs


def test_collapse_is_warned_of_once(configure, caplog):
    with caplog.at_level(logging.WARNING):
        train(configure("beta.value=1000", "trainer.max_epochs=8"))
    warnings = [record.getMessage() for record in caplog.records if "posterior collapse" in record.getMessage()]
    assert len(warnings) == 1
    assert "10 of 10 latents carry less than 0.01 nats for 3 epochs" in warnings[0]


def test_latents_with_one_kl_are_warned_of_together():
    assert "the latents together carry less" in CollapseWarning(patience=1).observe(torch.zeros(1))
    assert "2 of 2 latents carry less" in CollapseWarning(patience=1).observe(torch.zeros(2))


@pytest.mark.parametrize("options", [("beta.value=0.1",), ("sampler=deterministic",)])
def test_a_healthy_model_is_not_warned_of(options, configure, caplog):
    with caplog.at_level(logging.WARNING):
        train(configure(*options, "trainer.max_epochs=8"))
    assert "collapse" not in caplog.text


def test_looking_does_not_change_what_is_trained(configure):
    plain = train(configure("noise=normal"))
    watched = train(
        configure(
            "noise=normal",
            "callbacks.figures.enabled=true",
            "callbacks.figures.every_n_epochs=1",
        )
    )
    assert plain == watched


def test_vector_data_are_shown_as_clouds(configure):
    config = configure(
        "dataset=lognormal_2d", "noise=normal", "callbacks.figures.enabled=true", "+trainer.limit_train_batches=5"
    )
    train(config)
    names = {path.name for path in (Run.of(config).folder / "figures").iterdir()}
    assert names == {"loss_curves.png", "reconstructions.png", "denoised.png", "latent_plane.png", "examples.npz"}


LITTLE_DRAWN = ("callbacks.figures.enabled=true", "callbacks.figures.show=[denoised]")


@pytest.mark.parametrize(
    ("options", "shape"), [((), (10, 1, 8, 8)), (("dataset=lognormal_2d", "+trainer.limit_train_batches=5"), (2000, 2))]
)
def test_every_sampler_is_shown_the_same_noisy_examples(options, shape, configure):
    """The noise is found again from the seed alone, and is that of the distribution asked for."""
    shown = {}
    for sampler in ("normal", "student_t"):
        config = configure(f"sampler={sampler}", "noise=normal", *LITTLE_DRAWN, *options)
        train(config)
        with np.load(Run.of(config).folder / "figures" / "examples.npz") as arrays:
            shown[sampler] = dict(arrays)
    first, other = shown.values()
    assert {name: array.dtype.name for name, array in first.items()} == {
        "labels": "int64",
        **dict.fromkeys(("original", "reconstruction", "noisy", "denoised"), "float32"),
    }
    assert {first[name].shape for name in ("original", "reconstruction", "noisy", "denoised")} == {shape}
    np.testing.assert_array_equal(other["original"], first["original"])
    np.testing.assert_array_equal(other["noisy"], first["noisy"])
    assert not np.array_equal(other["denoised"], first["denoised"])
    noise = (first["noisy"] - first["original"]).ravel()
    scale = config["noise"]["distribution"]["scale"]
    assert scipy.stats.kstest(noise, scipy.stats.norm(scale=scale).cdf).pvalue > 1e-3


def test_without_noise_there_is_nothing_denoised_to_keep(configure):
    config = configure(*LITTLE_DRAWN)
    train(config)
    with np.load(Run.of(config).folder / "figures" / "examples.npz") as arrays:
        assert set(arrays) == {"original", "labels", "reconstruction"}


def test_stacked_noise_is_shown_beside_the_image(configure):
    config = configure("noise=normal", "noise.mode=stacked", *LITTLE_DRAWN)
    train(config)
    assert (Run.of(config).folder / "figures" / "denoised.png").is_file()


def test_checkpoints_every_few_epochs_and_at_the_end(configure):
    config = configure("callbacks.checkpoints.every_n_epochs=4", "trainer.max_epochs=6")
    train(config)
    folder = Run.of(config).folder
    assert torch.load(folder / "last.ckpt", weights_only=True)["epoch"] == 5
    assert len(read_epochs(folder / "metrics.csv")) == 6


def test_best_is_the_epoch_with_the_least_validation_loss(configure):
    config = configure("trainer.max_epochs=15", "optimizer.lr=0.02")
    train(config)
    folder = Run.of(config).folder
    rows = read_epochs(folder / "metrics.csv")
    best = min(rows, key=lambda row: row["val/loss"])
    assert torch.load(folder / "best.ckpt", weights_only=True)["epoch"] == best["epoch"]


def test_a_kill_between_the_two_checkpoints_does_not_lose_the_best(configure, monkeypatch):
    config = configure("trainer.max_epochs=3")
    unbroken = train(config)
    again = {**config, "output_dir": config["output_dir"] + "-again"}

    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        # Between best.ckpt, which is written by torch, and last.ckpt, which is its copy.
        patch.setattr("vae_hydra.training.callbacks.checkpoints.shutil.copyfile", killed)
        with pytest.raises(SystemExit):
            train(again)
    assert not (Run.of(again).folder / "last.ckpt").exists()
    assert train(again) == unbroken


def test_a_validation_loss_that_is_not_finite_is_never_best(configure, monkeypatch):
    from vae_hydra.training.module import VAEModule

    losses = iter([3.0, float("nan"), 1.0, 2.0])
    original = VAEModule.on_validation_epoch_end

    def scripted(self):
        original(self)
        self.trainer.callback_metrics["val/loss"] = torch.tensor(next(losses))
        self.log("val/loss", self.trainer.callback_metrics["val/loss"])

    monkeypatch.setattr(VAEModule, "_log_means", lambda *args: None)
    monkeypatch.setattr(VAEModule, "on_validation_epoch_end", scripted)
    config = configure("trainer.max_epochs=4")
    train(config)
    assert torch.load(Run.of(config).folder / "best.ckpt", weights_only=True)["epoch"] == 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("last.ckpt", "short", "last.ckpt cannot be read as a checkpoint"),
        ("run.json", "", "run.json is damaged"),
        ("metrics.csv", "epoch,train/loss\n0,abc\n", "metrics.csv is damaged"),
    ],
)
def test_damaged_files_are_named(name, content, message, configure):
    config = configure()
    train(config)
    folder = Run.of(config).folder
    if name != "run.json":
        (folder / "run.json").write_text('{"status": "interrupted"}')
    (folder / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        train(config)


def test_scores_that_are_missing_are_made_again(configure):
    config = configure()
    metrics = train(config)
    (Run.of(config).folder / "metrics.json").unlink()
    assert train(config) == metrics


def test_history_replaces_what_comes_again(tmp_path):
    history = History(tmp_path / "metrics.csv")
    for epoch in range(4):
        history.record(epoch, {"train/loss": 1.0 + epoch})
    resumed = History(tmp_path / "metrics.csv")
    resumed.record(2, {"train/loss": 9.0, "val/loss": 8.0})
    rows = read_epochs(tmp_path / "metrics.csv")
    assert [row["train/loss"] for row in rows] == [1, 2, 9]
    assert "val/loss" not in rows[0]
    assert rows[2]["val/loss"] == 8


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fails(temporary):
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        replace_atomically(path, fails)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


def test_epoch_timer_counts_the_batches_and_not_the_validation(configure, monkeypatch):
    from vae_hydra.training.module import VAEModule

    original = VAEModule.validation_step

    def slow(self, batch, batch_idx):
        time.sleep(0.5)
        return original(self, batch, batch_idx)

    monkeypatch.setattr(VAEModule, "validation_step", slow)
    config = configure()
    train(config)
    assert 0 < Run.of(config).record["seconds_per_epoch"] < 0.4


@pytest.mark.parametrize(
    "figure",
    [
        lambda: plots.loss_curves([{"epoch": 0, "train/loss": 2.0}, {"epoch": 1, "train/loss": 1.0, "val/loss": 1.0}]),
        lambda: plots.image_rows({"grey": torch.rand(3, 1, 8, 8), "noisy": torch.rand(3, 1, 8, 8)}, (0, 1), ["noisy"]),
        lambda: plots.image_grid(torch.rand(5, 3, 8, 8), (0, 1)),
        lambda: plots.image_grid(torch.rand(5, 1, 8, 8), (0, 1), torch.arange(5)),
        lambda: plots.histograms({"a": torch.randn(50, 1), "b": torch.randn(50, 1)}),
        lambda: plots.latent_plane(torch.randn(50, 2), torch.arange(50) % 3),
        lambda: plots.latent_plane(torch.randn(50, 6), torch.arange(50) % 12),
        lambda: plots.scatter_panels({"a": torch.rand(50, 2), "b": torch.rand(50, 2)}),
        lambda: plots.scatter_panels({"one coordinate": torch.rand(50, 1)}),
    ],
)
def test_every_plot_draws(figure, tmp_path):
    figure().savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CollapseWarning(threshold=0), "callbacks.collapse.threshold must be a number > 0"),
        (lambda: Figures(every_n_epochs=-1), "callbacks.figures.every_n_epochs must be an integer ≥ 0"),
        (lambda: Figures(samples=0), "callbacks.figures.samples"),
        (lambda: Progress(refresh_rate="fast"), "callbacks.progress.refresh_rate"),
    ],
)
def test_bad_options_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_timer_without_an_epoch_logs_nothing():
    EpochTimer().on_train_epoch_end(None, None)


def test_best_counts_only_once_beta_has_reached_its_end_if_asked(configure):
    options = ("beta=linear", "beta.duration=3", "callbacks.checkpoints.after_annealing=true")
    config = configure(*options, "trainer.max_epochs=5", "seed=1")
    train(config)
    assert torch.load(Run.of(config).folder / "best.ckpt", weights_only=True)["epoch"] >= 3
    short = configure(*options, "trainer.max_epochs=3")
    train(short)
    # Its ramp is shortened to end in the last epoch, the only one that counts then.
    assert torch.load(Run.of(short).folder / "best.ckpt", weights_only=True)["epoch"] == 2
    assert Run.of(short).record["checkpoint"] == "best"


@pytest.mark.parametrize("duration", [21, 42, 63])
def test_only_epochs_whose_last_step_had_the_final_beta_count(duration, configure):
    """Cycles of 21 steps, as an epoch has, and multiples."""
    options = (
        "beta=cyclical",
        "beta.unit=step",
        f"beta.duration={duration}",
        "callbacks.checkpoints.after_annealing=true",
    )
    config = configure(*options, "trainer.max_epochs=6", "dataset.batch_size=62", "test_noises=null")
    betas, counted = [], []
    module = build_experiment(config).module
    module.beta_schedule.last = 6 * 21 - 1
    for epoch in range(6):
        betas.append(module.beta_schedule.at(21 * (epoch + 1) - 1, epoch))
        counted.append(module.beta_schedule.is_final(21 * (epoch + 1), epoch))
    assert counted == [math.isclose(beta, module.beta_schedule.final) for beta in betas]
    assert any(counted)
    train(config)
    rows = read_epochs(Run.of(config).folder / "metrics.csv")
    assert [row["train/beta"] for row in rows] == pytest.approx(betas)
    assert counted[torch.load(Run.of(config).folder / "best.ckpt", weights_only=True)["epoch"]]


def test_an_infinite_validation_loss_is_a_check_without_improvement():
    stop = EarlyStop(patience=3)
    found = [stop._evaluate_stopping_criteria(torch.tensor(loss))[0] for loss in (5.0, 4.0, math.inf, 3.0)]
    assert found == [False] * 4
    found = [stop._evaluate_stopping_criteria(torch.tensor(loss))[0] for loss in (math.inf, math.nan, 9.0)]
    assert found == [False, False, True]
    assert stop.has_stopped
