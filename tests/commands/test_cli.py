"""The command line as a user meets it: help, errors on one screen, exit codes, nothing half-made left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests.support.composing import REPOSITORY
from vae_hydra import evaluate, train
from vae_hydra.base.command.configuration import config_folder
from vae_hydra.runs.folder import Run

BAD = {
    "unknown option": (
        ["sampler=cauchy"],
        ["sampler=cauchy: there is no such option", "deterministic", "inverse_gaussian", "lognormal"],
    ),
    "unknown key": (["model.latents=3"], ["error: model.latents: there is no such option"]),
    "wrong type": (["model.latent_dim=many"], ["model.latent_dim must be an integer ≥ 1, but got 'many'"]),
    "wrong type of the optimizer": (["optimizer.lr=fast"], ["optimizer"]),
    "wrong type of the trainer": (["trainer.max_epochs=1.5"], ["trainer.max_epochs must be an integer ≥ 1"]),
    "negative latent_dim": (["model.latent_dim=-2"], ["model.latent_dim must be an integer ≥ 1, but got -2"]),
    "negative beta": (["beta.value=-1"], ["beta.value must be a number ≥ 0, but got -1"]),
    "negative learning rate": (["optimizer.lr=-1"], ["optimizer", "-1"]),
    "negative seed": (["seed=-1"], ["seed must be an integer ≥ 0, but got -1"]),
    "bernoulli outside [0, 1]": (
        ["likelihood=bernoulli", "dataset=lognormal_2d"],
        ["BernoulliLikelihood needs data in [0, 1]", "likelihood=gaussian"],
    ),
    "a sigmoid outside [0, 1]": (
        ["likelihood.location=sigmoid", "dataset=lognormal_2d"],
        ["GaussianLikelihood needs data in [0, 1]"],
    ),
    "a likelihood of positive data on pixels that are 0": (
        ["likelihood=lognormal"],
        ["LogNormalLikelihood needs data > 0, but this dataset spans [0, 1]", "likelihood=student_t"],
    ),
    "margins of another number": (
        ["dataset=copula", "dataset.dimensions=3", "dataset.margins=[{family: normal},{family: normal}]"],
        ["dataset.margins must be a list of one group for all columns"],
    ),
    "free bits of nothing": (
        ["sampler=deterministic", "objective.free_bits=1"],
        ["objective.free_bits", "leave it at 0"],
    ),
    "labels of data without classes": (
        ["condition=both", "dataset=inverse_gaussian_2d"],
        ["condition needs data with two classes or more, but these have 1", "condition=none"],
    ),
    "a head on data without classes": (
        ["classifier=mlp", "dataset=inverse_gaussian_2d"],
        ["classifier needs data with two classes or more, but these have 1", "classifier=none"],
    ),
    "a share of no labels": (
        ["classifier=mlp", "classifier.labelled=0"],
        ["classifier.labelled must be a number in (0, 1]"],
    ),
    "a head of no weight": (["classifier=mlp", "classifier.weight=0"], ["classifier.weight must be a number > 0"]),
    "an unknown encoding": (
        ["condition=both", "condition.encoding=x"],
        ["condition.encoding must be one of one_hot, scalar"],
    ),
    "tapered the wrong way": (
        ["model=mlp_tapered", "dataset=lognormal_2d"],
        ["model.latent_dim must be at most 2", "use model=mlp"],
    ),
    "degrees of freedom below 0": (
        ["sampler=student_t", "sampler.df=-1"],
        ["sampler.df must be a number > 0, but got -1"],
    ),
    "a learned scale of something": (
        ["likelihood.learn_scale=often"],
        ["likelihood.learn_scale must be true or false"],
    ),
    "negative free bits": (["objective.free_bits=-1"], ["objective.free_bits must be a number ≥ 0"]),
    "stacked noise on vectors": (
        ["noise=normal", "noise.mode=stacked", "dataset=lognormal_2d"],
        ["noise.mode=stacked needs images", "noise.mode=additive"],
    ),
    "conv on vectors": (["model=conv", "dataset=lognormal_2d"], ["convolutional models need images", "use model=mlp"]),
    "conv too deep": (["model=conv", "model.channels=[4,4,4,4]"], ["1 to 3 entries for 8×8 images"]),
    "binarised vectors": (
        ["dataset=lognormal_2d", "dataset.binarise=static"],
        ["dataset.binarise=static needs values in [0, 1]", "use dataset.binarise=none"],
    ),
    "a fold that is none": (["dataset.fold=5"], ["dataset.fold must be an integer from 0 to 4, but got 5"]),
    "resized vectors": (
        ["dataset=student_t_mixture", "dataset.resize=16"],
        ["dataset.resize needs images", "shape [1]", "use dataset.resize=null"],
    ),
    "missing dataset": (
        ["dataset=mnist", "dataset.root=nowhere"],
        ["MNIST was not found under dataset.root=nowhere", "dataset.download=true", "nowhere/MNIST/raw"],
    ),
    "prior out of range": (["sampler.prior.scale=-1"], ["sampler", "scale: -1.0"]),
    "no closed KL": (
        ["sampler.prior._target_=torch.distributions.LogNormal"],
        ["KL(Normal ‖ LogNormal)", "sampler.kl=monte_carlo"],
    ),
    "early stopping on nothing": (
        ["callbacks=early_stopping", "dataset.validation=0"],
        ["early stopping watches val/loss", "dataset.validation=0.1"],
    ),
    "no such accelerator": (["trainer.accelerator=quantum"], ["trainer", "quantum"]),
    "half-precision weights": (["trainer.precision=bf16-true"], ["trainer.precision must be one of 32-true"]),
    "a name that is no folder": (["noise.name=../up"], ["noise.name must be made of letters"]),
    "a name with a dot": (["noise=normal", "noise.name=a.b"], ["noise.name must be made of letters"]),
    "a seed too large": (["seed=99999999999999999999999"], ["seed must be an integer below"]),
    "no output folder": (["output_dir=null"], ["output_dir must be a folder, but got None"]),
    "a value for a group": (["model.encoder=3"], ["model.encoder must be a group of options, but got 3"]),
    "a value for the source": (["dataset.source=3"], ["source must be a group of options, but got 3"]),
    "a value for a callback": (["callbacks.timer=abc"], ["callbacks.timer must be a group of options with a _target_"]),
    "a deleted value": (["~model.latent_dim"], ["model.latent_dim must be an integer ≥ 1, but got None"]),
    "a deleted name": (["~noise.name"], ["noise.name must be made of letters"]),
    "an unknown part of the objective": (["+objective.extra=1"], ["objective", "extra"]),
    "too few betas": (["optimizer.betas=[]"], ["optimizer"]),
    "a support that does not fit": (
        ["sampler.prior._target_=torch.distributions.LogNormal", "sampler.kl=monte_carlo"],
        ["KL(Normal ‖ LogNormal) is not finite"],
    ),
    "no checkpoints": (["callbacks.checkpoints=null"], ["callbacks.checkpoints cannot be left out"]),
    "no test batches": (["+trainer.limit_test_batches=0"], ["trainer.limit_test_batches=0"]),
    "no validation batches": (
        ["callbacks=early_stopping", "+trainer.limit_val_batches=0"],
        ["early stopping watches val/loss"],
    ),
    "early stopping on something else": (
        ["callbacks=early_stopping", "callbacks.early_stopping.monitor=val/kl"],
        ["callbacks.early_stopping.monitor must be one of val/loss, train/loss"],
    ),
    "negative clipping": (["trainer.gradient_clip_val=-1"], ["trainer.gradient_clip_val must be a number > 0"]),
    "clipping a fused mixed optimizer": (
        ["trainer.gradient_clip_val=1", "trainer.precision=bf16-mixed"],
        ["needs optimizer.fused=false"],
    ),
    "no threads": (["threads=0"], ["threads must be an integer from 1 to 1024, but got 0"]),
    "target that does not exist": (["likelihood._target_=vae_hydra.model.likelihoods.None_"], ["likelihood", "None_"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_screen_and_leaves_nothing(case, run_command, tmp_path):
    overrides, expected = BAD[case]
    code, text = run_command(train, "trainer.max_epochs=1", *overrides)
    assert code != 0
    assert len(text.splitlines()) <= 25, text
    assert "Traceback" not in text
    for part in expected:
        assert part in text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["seed=0"], ["-m", "seed=0,1"]])
def test_output_folder_that_cannot_be_written(arguments, run_command, tmp_path):
    (tmp_path / "file").write_text("in the way")
    code, text = run_command(train, *arguments, "output_dir=file/inside")
    assert code != 0
    assert "output_dir cannot be written" in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run=nowhere"], "run=nowhere is not a run"),
        (["run=hf://owner/name"], "commands take a run's folder; vae_hydra.load in Python opens hf://"),
        ([], "run is missing; give run=outputs/RUN"),
        (["run=null"], "run must be a folder, but got None"),
        (["run=5"], "run must be a folder, but got 5"),
    ],
)
def test_evaluate_wants_a_run(arguments, expected, run_command, tmp_path):
    code, text = run_command(evaluate, *arguments)
    assert code == 2
    assert expected in text
    assert "Traceback" not in text
    assert not list(tmp_path.iterdir())


def test_a_sweep_goes_on_past_a_cell_that_fails_and_says_so(run_command, tmp_path):
    code, text = run_command(
        train, "-m", "trainer.max_epochs=1", "callbacks.figures.enabled=false", "model.latent_dim=2,-2,3"
    )
    assert code != 0
    assert "model.latent_dim must be an integer ≥ 1, but got -2" in text
    runs = list((tmp_path / "outputs").glob("digits-*"))
    assert sorted(Run.open(folder).record["status"] for folder in runs) == ["done", "done", "failed"]
    # Started again, it trains nothing that is done.
    code, text = run_command(
        train, "-m", "trainer.max_epochs=1", "callbacks.figures.enabled=false", "model.latent_dim=2,3"
    )
    assert code == 0
    assert "2 runs, 0 to go" in text


def test_help_lists_every_option_with_a_line(run_command):
    code, text = run_command(train, "--help")
    assert code == 0
    for file in config_folder().glob("[!h]*/[!_]*.yaml"):
        if file.parent.name == "search":
            continue  # an option of another command
        assert any(line.strip().startswith(f"{file.stem} ") for line in text.splitlines()), file
    assert not [line for line in text.splitlines() if line.strip().startswith("_")]
    marked = [line.split()[0] for line in text.splitlines() if line.endswith("(default)")]
    usual = "constant default digits elbo gaussian csv mlp adam normal standard default none none none none"
    assert sorted(marked) == sorted(usual.split())


def test_full_errors_on_request(run_command, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ValueError, match="latent_dim"):
        run_command(train, "model.latent_dim=0")


def elapsed(*arguments: str) -> float:
    start = time.perf_counter()
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    subprocess.run([sys.executable, "-m", *arguments], check=True, capture_output=True, env=environment)
    return time.perf_counter() - start


@pytest.mark.parametrize("words", [("seed=5",), ("-m", "seed=5,6")])
def test_ctrl_c_before_training_is_one_line(words, run_command, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("vae_hydra.train.resolve", interrupted)
    monkeypatch.setattr("vae_hydra.studies.sweep.sweeper.resolve", interrupted)
    code, text = run_command(train, *words)
    assert code == 130
    assert text.splitlines()[-1] == "stopped by SIGINT; start the same command again to go on"
    assert "Traceback" not in text


def test_help_is_quick():
    assert min(elapsed("vae_hydra.train", "--help") for _ in range(2)) < 3


def test_help_imports_nothing_heavy():
    code = (
        "import sys, vae_hydra.train, vae_hydra.evaluate, vae_hydra.figures; "
        "print([m for m in ('torch', 'lightning', 'wandb', 'matplotlib', 'scipy') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.slow
def test_conf_and_plugin_travel_with_the_wheel(tmp_path):
    """An unpacked wheel has the whole configuration and Hydra's plugin; a sweep works far from the checkout."""
    source = tmp_path / "source"
    for name in ("conf", "vae_hydra"):
        shutil.copytree(REPOSITORY / name, source / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source / name)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*build, str(source)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    inside = {path.relative_to(tmp_path / "site/vae_hydra/conf") for path in (tmp_path / "site").rglob("*.yaml")}
    assert inside == {path.relative_to(REPOSITORY / "conf") for path in (REPOSITORY / "conf").rglob("*.yaml")}
    assert (tmp_path / "site/vae_hydra/py.typed").is_file()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    quick = ("trainer.max_epochs=1", "callbacks.figures.enabled=false", "seed=0,1")
    away = tmp_path / "away"
    away.mkdir()
    command = [sys.executable, "-m", "vae_hydra.train", "-m", *quick]
    subprocess.run(command, check=True, capture_output=True, cwd=away, env=environment)
    assert len(list(away.glob("outputs/digits-*/metrics.json"))) == 2
    assert list(away.glob("outputs/sweeps/*/plan.json"))
    code = "import hydra_plugins.vae_hydra as plugin; print(plugin.__file__)"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, check=True, capture_output=True, text=True, cwd=away, env=environment)
    assert Path(result.stdout.strip()) == tmp_path / "site/hydra_plugins/vae_hydra/__init__.py"
