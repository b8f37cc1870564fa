"""Facts of runs of every status."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from importlib.metadata import version

import pytest
import torch
import yaml

import vae_hydra
from tests.support.composing import composed
from tests.support.untrained_runs import TINY, untrained
from vae_hydra import info as command
from vae_hydra.analysis.info import info
from vae_hydra.base.files import write_json
from vae_hydra.runs.folder import Run
from vae_hydra.training.module import CHECKPOINT_KEY


def text_of(run: Run, *overrides: str) -> str:
    return info(composed(f"run={run.folder}", *overrides, name="info"))


def facts(run: Run, *overrides: str) -> dict:
    return json.loads(text_of(run, "json=true", *overrides))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    run = untrained(tmp_path_factory.mktemp("outputs"), *TINY.split(), "classifier=mlp", "noise=uniform")
    (run.folder / "evaluations").mkdir()
    write_json(run.folder / "evaluations" / "best-test-nll5.json", {"scores": {"marginal/nll": 12.5, "latents/x": 0.5}})
    (run.folder / "metrics.csv").write_text("epoch,train/loss,train/seconds_per_epoch\n0,3.5,2\n1,3.0,4\n")
    return run


@pytest.fixture
def run(done, tmp_path):
    return Run.open(shutil.copytree(done.folder, tmp_path / "moved"))


def test_a_run_that_is_done(done):
    known = facts(done)
    assert (known["status"], known["run"], known["chosen_checkpoint"]) == ("done", done.name, "best")
    assert known["config"] == done.config
    assert known["scores"] == done.metrics
    assert known["evaluations"] == {"best-test-nll5": {"marginal/nll": 12.5, "latents/x": 0.5}}
    assert (known["epochs"], known["max_epochs"], known["seconds_per_epoch"]) == (2, 2, 0.1)
    assert known["checkpoints"] == {"best": 3}
    assert known["versions"]["torch"] == version("torch")
    assert known["installed"] == {}
    assert known["problems"] == []
    on_disk = {path.name: path.stat().st_size for path in done.folder.iterdir() if path.is_file()}
    evaluation = (done.folder / "evaluations" / "best-test-nll5.json").stat().st_size
    listed = {entry["name"]: entry["bytes"] for entry in known["files"]}
    assert listed == {**on_disk, "evaluations/": evaluation}
    assert known["bytes"] == sum(on_disk.values()) + evaluation


@pytest.mark.parametrize(
    ("options", "first_in", "last_out"),
    [
        ("model=mlp", [1, 64], [1, 64]),
        ("model=conv condition=both", [1, 11, 8, 8], [1, 1, 8, 8]),
        ("model=conv likelihood.learn_scale=predicted noise=normal noise.mode=stacked", [1, 3, 8, 8], [1, 2, 8, 8]),
        ("model=mlp_tapered model.latent_dim=2 dataset=lognormal_2d likelihood.learn_scale=true", [1, 2], [1, 2]),
        ("dataset=pareto likelihood=generalised_pareto likelihood.learn_shape=predicted", [1, 2], [1, 4]),
        ("dataset=pareto likelihood=gamma likelihood.learn_concentration=per_pixel", [1, 2], [1, 2]),
    ],
)
def test_parameters_and_layers_are_those_of_the_model(options, first_in, last_out, tmp_path):
    run = untrained(tmp_path, *options.split())
    vae, known = vae_hydra.load(run.folder), facts(run)
    count = sum(p.numel() for p in vae.parameters())
    parts = dict(known["parameters"])
    assert parts.pop("total") == sum(parts.values()) == count
    layers = known["layers"]
    assert sum(layer["parameters"] for layer in layers) == count - parts.get("likelihood", 0)
    assert layers[0]["shape_in"] == first_in
    assert [layer for layer in layers if layer["name"].startswith("decoder.")][-1]["shape_out"] == last_out
    assert known["example_shape"] == list(vae.x_shape)


def test_the_text_fits_a_terminal_and_holds_the_configuration(done):
    text = text_of(done)
    sections = dict(part.split("\n", 1) for part in text.removeprefix("== ").split("\n\n== "))
    assert next(iter(sections)) == "configuration"
    assert list(sections)[-1] == done.name
    assert yaml.safe_load(sections["configuration"]) == done.config
    for part in ("status        done", "2 of 2, 0.1 s each", "best.ckpt of epoch 3", "scored: best", "classifier"):
        assert part in sections[done.name]
    assert "classifier.layers.0" in sections["layers (shapes of one example)"]
    assert "reconstruct/clean" in sections["test scores"]
    assert "best-test-nll5  marginal/nll 12.5" in sections["evaluations"]
    short = text_of(done, "config=false")
    assert "== configuration" not in short
    folder = str(done.folder.resolve())
    assert max(len(line) for line in short.splitlines() if folder not in line) <= 100


def test_a_run_without_a_checkpoint(run):
    (run.folder / "best.ckpt").unlink()
    (run.folder / "metrics.json").unlink()
    write_json(run.record_path, {"status": "interrupted", "error": "Interrupted('SIGTERM')", "started": "2030-01-01"})
    text = text_of(run)
    for part in (
        "interrupted",
        "Interrupted('SIGTERM')",
        "2 of 2, 3 s each",
        "started       2030-01-01",
        "last written",
    ):
        assert part in text
    for part in ("parameters    ", "test scores", "problem", "checkpoints   "):
        assert part not in text


def test_a_run_that_just_started_or_failed_at_once(tmp_path):
    config = composed("output_dir=" + str(tmp_path))
    run = Run.of(config)
    with run.writing(config):
        assert "status        running" in text_of(run)
        assert f"epochs        0 of {config['trainer']['max_epochs']}" in text_of(run)
    run.fail(config, FloatingPointError("the loss is not finite"))
    assert "error         FloatingPointError: the loss is not finite" in text_of(run)
    assert facts(run)["status"] == "failed"


@pytest.mark.parametrize("name", ["run.json", "config.yaml", "metrics.json", "metrics.csv", "best.ckpt"])
def test_damaged_files_are_problems(run, name):
    (run.folder / name).write_text("epoch\n{: [")
    known = facts(run)
    assert len(known["problems"]) == 1
    assert name in known["problems"][0]
    # The text wraps long lines.
    assert f"problem{known['problems'][0].split()[0]}" in "".join(text_of(run).split())
    assert (known["status"] == "damaged") == (name in ("run.json", "config.yaml", "metrics.json"))
    assert ("parameters" in known) == (name != "best.ckpt")
    assert known["bytes"] > 0


def test_missing_data_and_untrusted_code(run):
    checkpoint = torch.load(run.folder / "best.ckpt", weights_only=True)
    source = {
        "_target_": "vae_hydra.data.sources.torchvision_images.load_torchvision",
        "dataset": "MNIST",
        "root": "/nowhere",
        "download": True,
    }
    checkpoint[CHECKPOINT_KEY]["config"]["dataset"] |= {"source": source, "root": "/nowhere"}
    torch.save(checkpoint, run.folder / "best.ckpt")
    assert facts(run)["parameters"]["total"] > 0
    checkpoint[CHECKPOINT_KEY]["config"]["sampler"]["_target_"] = "os.system"
    torch.save(checkpoint, run.folder / "best.ckpt")
    known = facts(run)
    assert "names the target 'os.system'" in known["problems"][0]
    assert "layers" not in known
    assert known["checkpoints"] == {"best": 3}


def test_versions_that_differ_from_those_installed(run):
    record = run.record
    record["versions"] |= {"torch": "1.0", "gone": "2.0", "python": "2.7"}
    write_json(run.record_path, record)
    python = ".".join(map(str, sys.version_info[:3]))
    assert facts(run, "layers=false")["installed"] == {"python": python, "torch": version("torch"), "gone": None}
    assert "gone not installed" in text_of(run, "layers=false")


def test_json_is_valid_and_nothing_else_is_printed(run, run_command):
    write_json(run.folder / "metrics.json", {"reconstruct/clean/kl": math.inf, "reconstruct/clean/elbo": math.nan})
    code, printed = run_command(command, f"run={run.folder}", "json=true")
    assert code == 0

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    known = json.loads(printed, parse_constant=refuse)
    assert known["scores"] == {"reconstruct/clean/kl": None, "reconstruct/clean/elbo": None}
    code, printed = run_command(command, "run=nothing")
    assert (code, printed.count("\n")) == (2, 1)
    assert "is not a run" in printed


def test_without_layers_scripts_do_not_wait_for_torch(done):
    script = (
        "import sys; from vae_hydra.info import info\n"
        f"info({{'run': {str(done.folder)!r}, 'json': True, 'layers': False, 'config': True, 'trust': []}})\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("bad", ["json=1", "layers=some", "config=both"])
def test_bad_switches_are_refused(done, bad):
    with pytest.raises(ValueError, match=f"{bad.split('=')[0]} must be true or false, but got"):
        text_of(done, bad)
