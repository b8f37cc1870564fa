"""A new run from another one: its weights where they fit, its options, and its optimizer's moments if asked."""

from __future__ import annotations

import json

import pytest
import torch

from vae_hydra import train
from vae_hydra.build import build_experiment
from vae_hydra.run import Run, identity
from vae_hydra.warm_start import inherited_overrides, start_from

SHORT = ("trainer.max_epochs=1", "callbacks.figures.enabled=false", "trainer.accelerator=cpu")


def newest(tmp_path) -> Run:
    return Run(max(tmp_path.glob("outputs/*/run.json"), key=lambda path: path.stat().st_mtime).parent)


@pytest.fixture
def first(run_command, tmp_path):
    code, _ = run_command(train, *SHORT, "sampler=lognormal", "model.latent_dim=5", "optimizer.lr=0.01")
    assert code == 0
    return newest(tmp_path)


def weights(path):
    return torch.load(path, weights_only=True)["state_dict"]


def test_options_are_taken_over_and_those_typed_come_on_top(first, run_command, tmp_path):
    code, text = run_command(train, f"init_from={first.folder}", "optimizer.lr=0.002", "noise=uniform")
    assert code == 0, text
    run = newest(tmp_path)
    assert run.name.startswith("digits-uniform-lognormal-s0-")
    assert (run.config["model"]["latent_dim"], run.config["trainer"]["max_epochs"]) == (5, 1)
    assert run.config["optimizer"]["lr"] == 0.002
    assert f"from {first.folder / 'best.ckpt'}" in text
    # And on again from there.
    code, text = run_command(train, f"init_from={run.folder}", "seed=1")
    assert code == 0, text
    assert newest(tmp_path).config["optimizer"]["lr"] == 0.002
    assert newest(tmp_path).config["init_from"] == str(run.folder)


def test_training_begins_with_the_other_runs_weights(first, run_command, tmp_path):
    # Steps too small to move a weight by more than 1e-6.
    code, _ = run_command(train, f"init_from={first.folder}", "optimizer.lr=1e-9")
    assert code == 0
    for name, value in weights(newest(tmp_path).folder / "last.ckpt").items():
        torch.testing.assert_close(value, weights(first.folder / "best.ckpt")[name], rtol=0, atol=1e-6)


def test_what_does_not_fit_is_listed(first, run_command):
    code, text = run_command(train, f"init_from={first.folder}", "model.latent_dim=7", "classifier=mlp")
    assert code == 0, text
    assert "encoder.layers.4.weight starts fresh: (14, 256) here, (10, 256) in the other run" in text
    assert "classifier.layers.0.weight starts fresh: the other run has none" in text
    assert "encoder.layers.0.weight starts" not in text


def test_a_run_that_goes_on_keeps_its_own_weights(first, run_command, tmp_path, configure):
    code, _ = run_command(train, f"init_from={first.folder}", "seed=3")
    run = newest(tmp_path)
    metrics = run.metrics
    (run.folder / "run.json").write_text('{"status": "running"}')
    code, text = run_command(train, f"init_from={first.folder}", "seed=3")
    assert code == 0
    assert "(going on)" in text
    assert run.metrics == metrics


@pytest.mark.parametrize("keep", ["true", "false"])
def test_optimizer_moments_are_kept_or_not(keep, first, run_command, tmp_path, monkeypatch):
    from vae_hydra.module import VAEModule

    seen = []
    original = VAEModule.training_step

    def spy(self, batch, batch_idx):
        optimizer = self.trainer.optimizers[0]
        seen.append((len(optimizer.state_dict()["state"]), optimizer.param_groups[0]["lr"]))
        return original(self, batch, batch_idx)

    monkeypatch.setattr(VAEModule, "training_step", spy)
    code, text = run_command(train, f"init_from={first.folder}", f"keep_optimizer={keep}", "optimizer.lr=0.003")
    assert code == 0, text
    # The moments of the other run at the learning rate of this one.
    parameters = len(list(torch.load(first.folder / "best.ckpt", weights_only=True)["optimizer_states"][0]["state"]))
    assert seen[0] == ((parameters if keep == "true" else 0), 0.003)


def test_a_moved_run_makes_the_same_run(first, configure):
    one, other = (configure(f"init_from={folder}") for folder in (first.folder, f"/elsewhere/{first.name}"))
    assert identity(one) == identity(other)
    assert identity(one) != identity(configure())
    # Checkpoints by themselves are all called alike.
    assert identity(configure("init_from=a/best.ckpt")) != identity(configure("init_from=b/best.ckpt"))


def test_a_checkpoint_by_itself_gives_weights_and_no_options(first, configure):
    path = first.folder / "last.ckpt"
    assert inherited_overrides(str(path)) == []
    vae = build_experiment(configure("sampler=lognormal", "model.latent_dim=5")).module.vae
    start_from(vae, str(path))
    for name, value in vae.state_dict().items():
        assert torch.equal(value, weights(path)[f"vae.{name}"])


@pytest.mark.parametrize("override", ["sampler._target_=os.system", "seed=${oc.env:HOME}", "+x={_target_:os.system}"])
def test_a_record_that_names_code_is_not_followed(override, first, run_command):
    record = first.record | {"overrides": ["seed=1", override]}
    (first.folder / "run.json").write_text(json.dumps(record))
    code, text = run_command(train, f"init_from={first.folder}")
    assert code == 2
    assert "names code and is not taken over unseen" in text


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


def test_an_optimizer_of_other_shapes_is_refused(first, run_command):
    code, text = run_command(train, f"init_from={first.folder}", "keep_optimizer=true", "model.latent_dim=6")
    assert code == 2
    assert "keep_optimizer=true needs a run whose parameters have the same shapes" in text
