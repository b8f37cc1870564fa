"""A new run from another one: its weights where they fit, its options, and its optimizer's moments if asked."""

from __future__ import annotations

import copy
import shutil

import pytest
import torch
from hydra import compose

from tests.support.composing import CONF, composed
from tests.support.device import TRAINED_ON
from tests.support.outcomes import assert_same_outcome
from vae_hydra import train
from vae_hydra.base.hydra_versions import initialized
from vae_hydra.runs.build import build_experiment
from vae_hydra.runs.folder import Run
from vae_hydra.runs.identity import identity
from vae_hydra.runs.warm_start import inherit, start_from
from vae_hydra.training.module import VAEModule

SHORT = (
    "trainer.max_epochs=1",
    TRAINED_ON,
    "callbacks.figures.enabled=false",
    "dataset.fraction=0.1",
)
FIRST = ("sampler=lognormal", "model.latent_dim=5", "optimizer.lr=0.01", "beta=linear", "beta.duration=2")


def newest(tmp_path) -> Run:
    return Run(max(tmp_path.glob("outputs/*/run.json"), key=lambda path: path.stat().st_mtime_ns).parent)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    config = composed(*SHORT, *FIRST, f"output_dir={tmp_path_factory.mktemp('outputs')}")
    train.train(config)
    return Run.of(config)


@pytest.fixture
def first(done, tmp_path):
    """A copy, to do with as one likes."""
    return Run.open(shutil.copytree(done.folder, tmp_path / "outputs" / done.name))


@pytest.fixture
def start(first, run_command, tmp_path):
    """Start a run from the first one: start(options…) → (run, printed text)."""

    def call(*overrides: str, init_from=first.folder) -> tuple[Run, str]:
        code, text = run_command(train, f"init_from={init_from}", *SHORT, *overrides)
        assert code == 0, text
        return newest(tmp_path), text

    return call


def weights(path):
    state = torch.load(path, weights_only=True)["state_dict"]
    return {name: value for name, value in state.items() if name.startswith("vae.")}


def test_options_are_taken_over_and_those_typed_come_on_top(first, start):
    run, text = start("optimizer.lr=0.002", "noise=uniform")
    assert run.name.startswith("digits-uniform-lognormal-s0-")
    assert run.config["optimizer"]["lr"] == 0.002
    assert (run.config["model"]["latent_dim"], run.config["beta"]["duration"]) == (5, 2)
    assert f"from {first.folder / 'best.ckpt'}" in text
    # And on again from there.
    again, _ = start("seed=1", init_from=run.folder)
    assert (again.config["seed"], again.config["optimizer"]["lr"]) == (1, 0.002)
    assert again.config["init_from"] == str(run.folder)


def test_a_group_that_is_chosen_replaces_the_other_runs(start):
    run, _ = start("beta=constant", "likelihood=student_t", "model.activation=gelu")
    assert run.config["beta"] == {"name": "constant", "_target_": "vae_hydra.training.beta.Constant", "value": 1.0}
    assert run.config["likelihood"]["name"] == "student_t"
    # What is typed once stands in several places.
    assert [run.config["model"][part]["activation"] for part in ("encoder", "decoder")] == ["gelu"] * 2
    assert run.config["model"]["latent_dim"] == 5


def test_what_is_typed_counts_also_where_it_is_the_default(start):
    run, _ = start("optimizer.lr=1e-3", "sampler=normal", "model.latent_dim=10")
    assert (run.config["optimizer"]["lr"], run.config["sampler"]["name"]) == (1e-3, "normal")
    assert run.config["model"]["latent_dim"] == 10


def test_noises_of_the_test_are_chosen_apart_from_that_of_training(first, start):
    noisy, _ = start("noise=uniform", "~noise@test_noises.normal")
    assert set(noisy.config["test_noises"]) == {"lognormal", "uniform", "inverse_gaussian"}
    run, _ = start("noise@test_noises.lognormal=normal", "optimizer.lr=0.02", init_from=noisy.folder)
    assert run.config["noise"]["name"] == "uniform"
    assert {node["name"] for node in run.config["test_noises"].values()} == {"normal", "uniform", "inverse_gaussian"}
    assert start("test_noises=null", "optimizer.lr=0.03")[0].config["test_noises"] is None


def test_an_experiment_has_options_for_all(start):
    run, _ = start(
        "experiment=heavy_tailed/lognormal_2d", "model.encoder.widths=[256,256]", "+trainer.limit_train_batches=2"
    )
    assert (run.config["sampler"]["name"], run.config["beta"]["name"]) == ("normal", "constant")


def test_a_sweep_may_start_from_a_run(first, run_command, tmp_path):
    code, text = run_command(train, f"init_from={first.folder}", *SHORT, "seed=1,2", "-m")
    assert code == 0, text
    names = [path.name for path in tmp_path.glob("outputs/digits-none-lognormal-s[12]-*")]
    assert len(names) == 2


def test_training_begins_with_the_other_runs_weights(first, start):
    # Steps too small to move a weight by more than 1e-6.
    run, _ = start("optimizer.lr=1e-9")
    for name, value in weights(run.folder / "last.ckpt").items():
        torch.testing.assert_close(value, weights(first.folder / "best.ckpt")[name], rtol=0, atol=1e-6)


def test_weights_in_double_precision_are_not_rounded(start):
    double, _ = start("trainer.precision=64-true")
    again, _ = start("trainer.precision=64-true", "optimizer.lr=1e-30", init_from=double.folder)
    for name, value in weights(again.folder / "last.ckpt").items():
        assert value.dtype == torch.float64
        assert torch.equal(value, weights(double.folder / "best.ckpt")[name])


def test_what_does_not_fit_is_listed_and_kept_in_the_log(start):
    run, text = start("model.latent_dim=7", "classifier=mlp", "sampler=normal")
    for printed in (text, (run.folder / "train.log").read_text()):
        assert "encoder.layers.4.weight starts fresh: (14, 256) here, (10, 256) in the other run" in printed
        assert "classifier.layers.0.weight starts fresh: the other run has none" in printed
        assert "encoder.layers.0.weight starts" not in printed


@pytest.mark.parametrize("keep", ["true", "false"])
def test_a_warm_start_that_is_cut_off_goes_on_bit_equal(keep, first, configure, tmp_path, cut_off):
    options = (f"init_from={first.folder}", "sampler=lognormal", "model.latent_dim=5", f"keep_optimizer={keep}")
    whole, cut = (configure(*options, f"output_dir={tmp_path / name}") for name in ("whole", "cut"))
    train.train(whole)
    cut_off(cut, epoch=1, batch=2)
    train.train(cut)
    assert_same_outcome(Run.of(whole).folder, Run.of(cut).folder)


@pytest.mark.parametrize("keep", ["true", "false"])
def test_optimizer_moments_are_kept_or_not(keep, first, start, monkeypatch):
    seen = []
    original = VAEModule.training_step

    def spy(self, batch, batch_idx):
        optimizer = self.trainer.optimizers[0]
        seen.append((copy.deepcopy(optimizer.state_dict()["state"]), optimizer.param_groups[0]["lr"]))
        return original(self, batch, batch_idx)

    monkeypatch.setattr(VAEModule, "training_step", spy)
    start(f"keep_optimizer={keep}", "optimizer.lr=0.003")
    state, rate = seen[0]
    # The moments of the other run at the learning rate of this one.
    assert rate == 0.003
    given = torch.load(first.folder / "best.ckpt", weights_only=True)["optimizer_states"][0]["state"]
    assert len(state) == (len(given) if keep == "true" else 0)
    for index, moments in state.items():
        assert torch.equal(moments["exp_avg"], given[index]["exp_avg"])
        assert torch.equal(moments["exp_avg_sq"], given[index]["exp_avg_sq"])


def test_a_moved_run_makes_the_same_run(first, configure):
    one, other = (configure(f"init_from={folder}") for folder in (first.folder, f"/elsewhere/{first.name}"))
    assert identity(one) == identity(other)
    assert identity(one) != identity(configure())
    # Checkpoints by themselves are all called alike.
    assert identity(configure("init_from=a/best.ckpt")) != identity(configure("init_from=b/best.ckpt"))


def test_a_checkpoint_by_itself_will_do(first, start):
    path = first.folder / "last.ckpt"
    run, text = start(init_from=path)
    assert run.config["model"]["latent_dim"] == 5
    assert f"from {path}" in text


def altered(first: Run, change) -> str:
    checkpoint = torch.load(first.folder / "best.ckpt", weights_only=True)
    change(checkpoint["vae_hydra"]["config"])
    path = first.folder / "altered.ckpt"
    torch.save(checkpoint, path)
    return str(path)


def test_a_run_whose_options_name_code_is_refused(first, run_command):
    def change(config):
        config["likelihood"] = {"_target_": "torch.load", "f": "payload.pt", "weights_only": False}

    code, text = run_command(train, f"init_from={altered(first, change)}", *SHORT)
    assert code == 2
    assert "names the target 'torch.load'" in text


def test_nothing_is_fetched_because_another_run_fetched_it(first, configure):
    def change(config):
        source = {
            "_target_": "vae_hydra.data.sources.torchvision_images.load_torchvision",
            "dataset": "MNIST",
            "root": "r",
            "download": True,
        }
        config["dataset"] |= {"download": True, "source": source}

    with initialized(CONF):
        typed = [f"init_from={altered(first, change)}"]
        config = inherit(compose("train", typed), compose("train"), typed)
    assert config["dataset"]["source"]["download"] is config["dataset"]["download"] is False


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["init_from=nowhere"], "init_from=nowhere is not a run"),
        (
            ["keep_optimizer=true"],
            "keep_optimizer=true keeps that of another run, but there is none",
        ),
        (["keep_optimizer=maybe"], "keep_optimizer must be true or false, but got 'maybe'"),
    ],
)
def test_bad_requests_are_refused(arguments, expected, run_command, tmp_path):
    code, text = run_command(train, *SHORT, *arguments)
    assert code == 2
    assert expected in text
    assert not list(tmp_path.iterdir())


def test_nothing_that_fits_is_refused(first, configure):
    vae = build_experiment(configure("model.encoder.widths=[3]", "model.decoder.widths=[4]")).module.vae
    with pytest.raises(ValueError, match=r"none of its 12 weights fit this model"):
        start_from(vae, str(first.folder))


def test_keep_optimizer_is_checked_also_where_there_is_a_run(first, run_command):
    code, text = run_command(train, f"init_from={first.folder}", "keep_optimizer=maybe")
    assert code == 2
    assert "keep_optimizer must be true or false, but got 'maybe'" in text


def test_an_optimizer_of_other_shapes_is_refused(first, run_command):
    code, text = run_command(train, f"init_from={first.folder}", "keep_optimizer=true", "model.latent_dim=6")
    assert code == 2
    assert "keep_optimizer=true needs a run whose parameters have the same shapes" in text


def test_the_prior_is_inherited(first, run_command, tmp_path):
    code, text = run_command(train, *SHORT, "prior=mixture", "prior.components=3", "seed=5")
    assert code == 0, text
    code, text = run_command(train, f"init_from={newest(tmp_path).folder}", *SHORT, "optimizer.lr=1e-4")
    assert code == 0, text
    assert newest(tmp_path).config["prior"]["components"] == 3
    assert "is not used" not in text


@pytest.mark.parametrize("source", ["5", "true", "[a]"])
def test_a_source_that_is_no_folder_is_refused(source, run_command):
    code, text = run_command(train, f"init_from={source}", *SHORT)
    assert code == 2
    assert "init_from must be a run's folder or a checkpoint, but got" in text
