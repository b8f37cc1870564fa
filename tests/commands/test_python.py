"""Commands as functions of Python: the same options, errors as exceptions, nothing of Hydra left behind."""

from __future__ import annotations

import inspect
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

import vae_hydra
from tests.support.composing import CONF, QUICK
from vae_hydra.base.hydra_versions import initialized
from vae_hydra.runs.folder import Run
from vae_hydra.studies.sweep.names import sweep_id
from vae_hydra.training.module import VAEModule

BRIEF = [*QUICK, "trainer.max_epochs=1", "dataset.fraction=0.05", "test_noises=null", "threads=1"]


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Options of a small run in a working folder of its own."""
    monkeypatch.chdir(tmp_path)
    return BRIEF


@pytest.mark.parametrize(
    "code",
    [
        "import vae_hydra; first = vae_hydra.{0}; import vae_hydra.{0}; second = vae_hydra.{0}",
        "import vae_hydra.{0}; first = vae_hydra.{0}; from vae_hydra import {0} as second",
        "from vae_hydra import {0} as first; from vae_hydra.{0} import main; import vae_hydra.{0} as second",
    ],
)
@pytest.mark.parametrize("name", ["train", "sweep", "evaluate", "generate"])
def test_a_command_is_module_and_function_in_any_order_of_imports(name, code):
    code = f"{code.format(name)}; assert first is second and callable(first) and callable(first.main)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, vae_hydra; print([m for m in ('torch', 'hydra', 'pandas', 'numpy') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"


def test_functions_show_their_signature_and_their_docstring():
    assert list(inspect.signature(vae_hydra.train).parameters) == ["overrides"]
    assert list(inspect.signature(vae_hydra.generate).parameters) == ["run", "overrides"]
    assert "ValueError" in inspect.getdoc(vae_hydra.evaluate)
    assert set(vae_hydra.__all__) >= {"train", "sweep", "load", "open_run", "results", "evaluate", "generate"}


def test_train_returns_the_run_and_the_second_call_finds_it_done(small, tmp_path, monkeypatch):
    run = vae_hydra.train(small)
    (folder,) = (tmp_path / "outputs").glob("digits-*")
    assert Path(run) == folder
    assert run.is_done
    assert len(run.epochs) == 1
    assert "done" in repr(run)
    monkeypatch.setattr(VAEModule, "training_step", None)
    # From another folder: the run is known by its place.
    monkeypatch.chdir("/")
    again = vae_hydra.train([*small, f"output_dir={tmp_path / 'outputs'}"])
    assert again.metrics == run.metrics == vae_hydra.open_run(run).metrics


def test_a_run_is_scored_and_generates(small):
    run = vae_hydra.train([*small, "condition=both"])
    assert vae_hydra.evaluate(run) == run.metrics
    made = vae_hydra.generate(run, ["n=5", "class=3"])
    assert made.x.shape == (5, 1, 8, 8)
    assert isinstance(made.x, np.ndarray)
    assert made.y.tolist() == [3] * 5
    assert not (run.folder / "generated").exists()
    with pytest.raises(ValueError, match="images is about files; add output=FOLDER"):
        vae_hydra.generate(run, ["images=true"])
    written = vae_hydra.generate(run, ["n=5", "class=3", "output=made", "arrays=true"])
    assert np.array_equal(np.load("made/generated.npz")["x"], written.x)
    assert np.array_equal(written.x, made.x)
    assert vae_hydra.load(run).sample(3, torch.tensor(7)).shape == (3, 1, 8, 8)


def test_a_sweep_returns_its_results_and_is_that_of_the_command_line(small, monkeypatch):
    sweep = [*small, "model.latent_dim=2,-2"]
    frame = vae_hydra.sweep(sweep)
    assert frame.groupby("latent_dim")["status"].first().to_dict() == {2: "done", -2: "failed"}
    assert "must be an integer" in frame.set_index("latent_dim").loc[-2, "error"]
    monkeypatch.setattr(sys, "argv", ["vae_hydra.train", "-m", *sweep])
    assert [path.name for path in Path("outputs/sweeps").iterdir()] == [sweep_id()]
    pd.testing.assert_frame_equal(vae_hydra.results("outputs").dropna(axis=1), frame.dropna(axis=1), check_like=True)


WRONG = {
    "an option that does not exist": (["model.latents=3"], "no such option"),
    "another sampler": (["sampler=cauchy"], "inverse_gaussian"),
    "a value": (["model.latent_dim=-1"], "must be an integer ≥ 1"),
    "an option that nothing reads": (["+trainer.max_epoch=3"], "did you mean trainer.max_epochs"),
    "a text": ("seed=1", "must be a list"),
    "an iterator": (iter(["seed=1"]), "must be a list"),
    "a dictionary": ({"seed=1": None}, "must be a list"),
    "nothing": (None, "must be a list"),
    "a flag": (["--cfg"], "is a flag of the command line"),
    "several values": (["seed=0,1"], "use vae_hydra.sweep"),
    "a file of grids": (["sweep=coffee_break"], "use vae_hydra.sweep"),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors_are_exceptions(case, small, tmp_path, capsys):
    overrides, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        vae_hydra.train(overrides)
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: vae_hydra.sweep(["model.latents=3,4"]), "no run of this sweep has an option model.latents"),
        (lambda: vae_hydra.sweep(["stack=0", "seed=0,1"]), "stack must be an integer"),
        (lambda: vae_hydra.evaluate("nowhere"), "run=nowhere is not a run"),
        (lambda: vae_hydra.generate("no'where", ["m=3"]), "there is no such option"),
        (lambda: vae_hydra.open_run("nowhere"), "is not a run"),
        (lambda: vae_hydra.results("nowhere"), "is not a folder"),
    ],
)
@pytest.mark.usefixtures("small")
def test_errors_of_other_functions_are_exceptions(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_nothing_is_left_behind(small):
    root = logging.getLogger()
    before = sys.argv, root.handlers[:], root.level, HydraConfig.instance().cfg
    with initialized(CONF):
        mine = GlobalHydra.instance().hydra
        vae_hydra.sweep([*small, "seed=0,1"])
        vae_hydra.train([*small, "seed=2"])
        with pytest.raises(ValueError, match="no run of this sweep"):
            vae_hydra.sweep(["model.latents=3,4"])
        assert GlobalHydra.instance().hydra is mine
        assert compose("train").seed == 0
    assert (sys.argv, root.handlers, root.level, HydraConfig.instance().cfg) == before


def test_an_interrupt_is_an_interrupt_and_the_next_call_goes_on(small, monkeypatch):
    from vae_hydra.runs import train as module
    from vae_hydra.training.callbacks import Interrupted

    def interrupted(config):
        raise Interrupted(2)

    with monkeypatch.context() as patch:
        patch.setattr(module, "train", interrupted)
        with pytest.raises(KeyboardInterrupt, match="goes on"):
            vae_hydra.train(small)
    assert vae_hydra.train(small).is_done


def test_a_run_is_a_path(tmp_path):
    assert Path(Run(tmp_path / "a")) == tmp_path / "a"
    with pytest.raises(ValueError, match="run must be a folder, but got 5"):
        Run.open(5)
