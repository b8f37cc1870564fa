"""Training runs: what a folder holds, doing nothing twice, and going on exactly where it was cut off."""

from __future__ import annotations

import logging
import signal
import subprocess
import time
from importlib.metadata import version

import pytest
import torch
import yaml

from tests.support.composing import QUICK, composed
from tests.support.outcomes import assert_same_outcome, assert_scores_agree
from tests.support.processes import command, wait_for
from vae_hydra import load
from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import train
from vae_hydra.training.callbacks import NonFiniteLossError
from vae_hydra.training.history import read_epochs
from vae_hydra.training.module import VAEModule

# Randomness in every place it can be: noise, sampler, order; state in β, learning rate and early stopping.
HARD = (
    "sampler=inverse_gaussian",
    "noise=uniform",
    "beta=linear",
    "beta.unit=step",
    "beta.duration=20",
    "scheduler=plateau",
    "scheduler.patience=0",
    "callbacks=early_stopping",
    "trainer.max_epochs=4",
    "dataset.batch_size=128",
    "dataset.fraction=0.6",
    "test_noises=null",
)
BATCHES = 7


def test_a_run_folder_holds_what_it_should(configure):
    config = configure("callbacks.figures.enabled=true", "callbacks.figures.every_n_epochs=2", "noise=normal")
    metrics = train(config)
    run = Run.of(config)
    assert run.name.startswith("digits-normal-normal-s0-")
    names = {path.relative_to(run.folder).as_posix() for path in run.folder.rglob("*") if path.is_file()}
    pictures = {f"{name}.png" for name in ("loss_curves", "reconstructions", "denoised", "prior_samples")}
    assert {f"figures/{name}" for name in pictures} <= names
    assert {f"figures/epoch_0002/{name}" for name in pictures - {"loss_curves.png"}} <= names
    written = {"config.yaml", "best.ckpt", "last.ckpt", "metrics.csv", "metrics.json", "run.json", "train.log"}
    assert written <= names
    assert not any(name.endswith(".tmp") for name in names)
    assert yaml.safe_load((run.folder / "config.yaml").read_text()) == config
    assert run.metrics == metrics
    record = run.record
    assert record["status"] == "done"
    assert record["versions"]["torch"] == version("torch")
    assert record["seconds_per_epoch"] > 0
    rows = read_epochs(run.folder / "metrics.csv")
    assert [row["epoch"] for row in rows] == [0, 1]
    assert {"train/loss", "train/beta", "train/learning_rate", "val/loss", "val/elbo", "val/half_sse"} <= rows[0].keys()
    assert "test scores" in (run.folder / "train.log").read_text()


def test_scores_have_both_protocols_and_their_units_agree(configure):
    metrics = train(configure("noise=uniform", "likelihood.scale=1.0"))
    assert_scores_agree(metrics, 64)
    for protocol in ("reconstruct/clean", "denoise/uniform"):
        half_sse = metrics[f"{protocol}/half_sse"]
        # −log p of a Gaussian with scale 1 is half-SSE + (D/2)·ln 2π.
        assert -metrics[f"{protocol}/log_likelihood"] == pytest.approx(half_sse + 32 * 1.8378771, rel=1e-5)


def test_the_loss_falls_and_digits_are_learnt(configure):
    metrics = train(configure("trainer.max_epochs=12", "optimizer.lr=3e-3", "test_noises=null"))
    # The mean image alone leaves 2.2: the spread of the pixels.
    assert metrics["reconstruct/clean/half_sse"] < 0.9


def test_a_plain_autoencoder_has_no_elbo(configure):
    metrics = train(configure("sampler=deterministic"))
    assert metrics["reconstruct/clean/kl"] == 0
    assert not any("elbo" in name for name in metrics)


def test_a_done_run_is_not_trained_again(configure, caplog, monkeypatch):
    config = configure()
    first = train(config)
    monkeypatch.setattr(VAEModule, "training_step", None)
    with caplog.at_level(logging.INFO):
        assert train(config) == first
    assert "is done already" in caplog.text


def test_seeds_and_options_make_folders_of_their_own_and_seeds_repeat(configure, tmp_path):
    one = configure("seed=1")
    assert len({Run.of(c).folder for c in (one, configure("seed=2"), configure("seed=1", "beta.value=0.5"))}) == 3
    again = {**one, "output_dir": str(tmp_path / "again")}
    train(one)
    train(again)
    assert_same_outcome(Run.of(one).folder, Run.of(again).folder)


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "digits-none-normal-s0-3fc700dc"),
        (["model=conv"], "digits-none-normal-s0-14717223"),
        (["experiment=heavy_tailed/mnist"], "mnist-none-normal-s0-52dc22b6"),
        (["experiment=heavy_tailed/lognormal_2d", "sampler=lognormal"], "lognormal_2d-none-lognormal-s0-164fd652"),
    ],
)
def test_options_that_came_later_leave_the_names_of_earlier_runs_alone(overrides, name):
    """Names as they were before conditions, heads, free bits, folds and warm starts: finished sweeps stay finished."""
    assert Run.of(composed(*overrides)).name == name


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The run of HARD that nothing interrupts."""
    folder = tmp_path_factory.mktemp("unbroken")
    config = composed(*QUICK, f"output_dir={folder}", *HARD)
    train(config)
    return Run.of(config).folder


# Where a signal finds the run: the method that is running, the epoch, the batch.
MOMENTS = [
    ("training_step", 0, 0),
    ("training_step", 1, 4),
    ("training_step", 1, BATCHES - 1),
    ("training_step", 3, BATCHES - 1),
    ("validation_step", 0, 0),
    ("validation_step", 3, 0),
    ("test_step", None, 0),
]


@pytest.mark.parametrize(
    ("signum", "step", "epoch", "batch"),
    [*((signal.SIGTERM, *moment) for moment in MOMENTS), *((signal.SIGINT, *moment) for moment in MOMENTS[1::4])],
)
def test_a_signal_saves_and_the_run_goes_on_bit_equal(signum, step, epoch, batch, configure, unbroken, cut_off):
    config = configure(*HARD)
    assert cut_off(config, epoch, batch, step, signum).exit_code == 128 + signum
    run = Run.of(config)
    assert run.record["status"] == "interrupted"
    assert (run.folder / "last.ckpt").is_file()
    train(config)
    assert run.record["status"] == "done"
    assert_same_outcome(run.folder, unbroken)


@pytest.mark.parametrize(
    ("options", "epoch", "batch"),
    [
        # The first validation is after the epoch that is cut off.
        (
            ("scheduler=plateau", "scheduler.patience=0", "+trainer.check_val_every_n_epoch=3", "trainer.max_epochs=7"),
            4,
            3,
        ),
        # Between two batches whose gradients are added up.
        (("+trainer.accumulate_grad_batches=2",), 1, 4),
        (("trainer.precision=64-true",), 1, 4),
        # Pixels that are drawn anew each epoch.
        (("dataset.binarise=dynamic", "likelihood=bernoulli"), 1, 4),
    ],
)
def test_other_ways_of_training_go_on_bit_equal_too(options, epoch, batch, configure, tmp_path, cut_off):
    overrides = ("noise=uniform", "dataset.batch_size=128", "test_noises=null", "trainer.max_epochs=3", *options)
    whole, cut = (configure(*overrides, f"output_dir={tmp_path / name}") for name in ("whole", "cut"))
    train(whole)
    cut_off(cut, epoch, batch)
    train(cut)
    assert_same_outcome(Run.of(whole).folder, Run.of(cut).folder)


LONG = (*HARD, "trainer.max_epochs=6", "dataset.batch_size=8")


@pytest.mark.slow
def test_sigkill_within_an_epoch_loses_nothing_but_that_epoch(tmp_path):
    subprocess.run(command(tmp_path / "whole", *LONG), check=True, capture_output=True)
    process = subprocess.Popen(command(tmp_path / "killed", *LONG), stdout=subprocess.DEVNULL)
    wait_for(lambda: any(len(read_epochs(p)) >= 2 for p in tmp_path.glob("killed/*/metrics.csv")), process)
    time.sleep(0.05)
    process.kill()
    process.wait()
    (killed,) = (tmp_path / "killed").glob("digits-*")
    assert Run(killed).record["status"] == "running"
    result = subprocess.run(command(tmp_path / "killed", *LONG), check=True, capture_output=True, text=True)
    assert "(going on)" in result.stdout
    (whole,) = (tmp_path / "whole").glob("digits-*")
    assert_same_outcome(killed, whole)


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_end_a_sweep_with_their_exit_code(signum, code, tmp_path):
    sweep = [*command(tmp_path, "trainer.max_epochs=10000", "seed=0,1"), "-m"]
    process = subprocess.Popen(sweep, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: list(tmp_path.glob("digits-*/last.ckpt")), process)
    process.send_signal(signum)
    assert process.wait(timeout=60) == code
    (folder,) = tmp_path.glob("digits-*")
    assert Run(folder).record["status"] == "interrupted"


def test_a_loss_that_is_not_finite_stops_with_a_clear_message(configure):
    config = configure("optimizer.lr=1e30", "trainer.max_epochs=5")
    with pytest.raises(NonFiniteLossError, match="training loss of epoch [0-9] is .*smaller optimizer.lr"):
        train(config)
    run = Run.of(config)
    assert run.record["status"] == "failed"
    assert "NonFiniteLossError" in run.record["error"]


def test_the_checkpoint_before_the_loss_broke_stays(configure, monkeypatch):
    config = configure("trainer.max_epochs=5")
    original = VAEModule.training_step

    def breaks(self, batch, batch_idx):
        loss = original(self, batch, batch_idx)
        if self.current_epoch == 2:
            self.train_means.total.fill_(torch.nan)
        return loss

    monkeypatch.setattr(VAEModule, "training_step", breaks)
    with pytest.raises(NonFiniteLossError, match="epoch 2"):
        train(config)
    assert load(Run.of(config).folder, "last")
    assert torch.load(Run.of(config).folder / "last.ckpt", weights_only=True)["epoch"] == 1


def test_two_processes_do_not_train_the_same_run(configure, monkeypatch):
    monkeypatch.setattr("vae_hydra.runs.folder.LOCK_WAIT", 0.1)
    config = configure()
    run = Run.of(config)
    with run.writing(config), pytest.raises(ValueError, match="another process is training"):
        train(config)


def test_a_run_from_before_there_were_other_noises_is_tested_on_them_but_not_trained_again(configure):
    before = train(configure("test_noises=null"))
    run = Run.of(configure())
    weights = {path: path.read_bytes() for path in run.folder.glob("*.ckpt")}
    after = train(configure())
    assert {name.split("/")[1] for name in after.keys() - before.keys()} == {
        *("normal", "lognormal", "uniform", "inverse_gaussian")
    }
    assert {name: after[name] for name in before} == before
    assert {path: path.read_bytes() for path in weights} == weights
    assert run.record["seconds_per_epoch"] > 0
    assert run.metrics == train(configure("test_noises=null"))


def test_without_validation_the_last_weights_are_used(configure):
    config = configure("dataset.validation=0")
    train(config)
    run = Run.of(config)
    assert run.record["checkpoint"] == "last"
    assert not (run.folder / "best.ckpt").exists()


def test_early_stopping_stops_and_stays_stopped(configure):
    # Nothing improves by 1e6 nats: stop after the first epoch and `patience` more.
    config = configure(
        "callbacks=early_stopping",
        "callbacks.early_stopping.min_delta=1e6",
        "callbacks.early_stopping.patience=2",
        "trainer.max_epochs=50",
    )
    train(config)
    run = Run.of(config)
    rows = read_epochs(run.folder / "metrics.csv")
    assert len(rows) == 3
    (run.folder / "run.json").write_text('{"status": "running"}')
    train(config)
    assert read_epochs(run.folder / "metrics.csv") == rows
