"""Which runs of a sweep are trained as one model, and the sweep that does so."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from tests.support.composing import REPOSITORY, options
from tests.support.device import TRAINED_ON
from tests.support.processes import command
from vae_hydra import train
from vae_hydra.base.command.process import launched_together
from vae_hydra.runs.folder import Run
from vae_hydra.studies.sweep.stacks import reason_against, shape_of, stacks

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY)}


@pytest.mark.parametrize(
    "overrides",
    [
        ["seed=3"],
        ["noise=lognormal"],
        ["beta=cyclical"],
        ["optimizer.lr=0.1"],
        ["scheduler=cosine"],
        ["sampler.prior.scale=2"],
        ["likelihood.scale=0.3"],
        ["output_dir=elsewhere"],
    ],
)
def test_what_is_elementwise_may_differ(overrides, configure):
    assert shape_of(configure(*overrides)) == shape_of(configure())


@pytest.mark.parametrize(
    "overrides",
    [
        ["sampler=lognormal"],
        ["model=conv"],
        ["model.latent_dim=3"],
        ["likelihood=laplace"],
        ["dataset.seed=1"],
        ["dataset.batch_size=32"],
        ["noise=normal", "noise.mode=stacked"],
        ["sampler.prior=null", "+sampler.prior={_target_: torch.distributions.Laplace, loc: 0.0, scale: 1.0}"],
        ["optimizer=adamw"],
        ["objective.free_bits=0.1"],
        ["trainer.max_epochs=3"],
        ["test_noises=null"],
        ["condition=both"],
    ],
)
def test_what_is_not_elementwise_makes_another_shape(overrides, configure):
    assert shape_of(configure(*overrides)) != shape_of(configure())


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["prior=flow"], "prior=flow"),
        (["prior=learned", "prior._target_=mine.Prior", "prior.name=mine"], "prior=mine"),
        (["objective.name=mine", "objective._target_=mine.Loss"], "objective=mine"),
        (["logger=tensorboard"], "it logs to tensorboard"),
        (["trainer.precision=64-true"], "trainer.precision=64-true"),
        (["trainer.devices=2"], "trainer.devices=2"),
        (["keep_optimizer=true"], "keep_optimizer=true"),
        (["~callbacks.finite_loss"], "callbacks.finite_loss is left out"),
        (["+trainer.limit_train_batches=2"], "trainer.limit_train_batches=2"),
        (["optimizer._target_=torch.optim.LBFGS"], "the steps of torch.optim.LBFGS may not be proportional"),
        (
            ["+scheduler._target_=torch.optim.lr_scheduler.OneCycleLR", "+scheduler.max_lr=0.1"],
            "its schedule also changes the momentum, unless scheduler.cycle_momentum=false",
        ),
        (["scheduler=cosine", "scheduler._target_=mine.Schedule"], "scheduler is mine.Schedule, which may change more"),
        (["sampler._target_=mine.Sampler"], "sampler is mine.Sampler, which may take no run axis"),
        (["callbacks.figures.enabled=true", "callbacks.figures.epochs=[1]"], "it draws figures while it trains"),
        (["+callbacks.mine={_target_: x.Y}"], "it has the callbacks mine"),
    ],
)
def test_what_a_stack_cannot_do_is_said(overrides, reason, configure):
    assert reason_against(configure()) is None
    assert reason_against(configure(*overrides)).startswith(reason)


def test_a_compiled_run_is_trained_alone(configure):
    assert reason_against(configure("compile=true")) == "compile=true"


def test_groups_are_even_and_what_is_alone_has_a_reason(configure):
    configs = [configure(f"seed={seed}") for seed in range(5)]
    configs += [configure("sampler=gamma"), configure("logger=tensorboard")]
    found = stacks(configs, most=4)
    assert sorted(map(sorted, found.together)) == [[0, 2, 4], [1, 3], [5]]
    assert found.reasons() == {"it logs to tensorboard": [6]}


SWEEP = (
    *("-m", "sampler=normal,gamma", "seed=0,1", "stack=8", "trainer.max_epochs=1", TRAINED_ON),
    *("dataset.fraction=0.1", "callbacks.figures.enabled=false", "test_noises=null"),
)


def test_a_sweep_trains_its_cells_in_stacks_and_is_the_same_sweep(run_command, tmp_path):
    code, text = run_command(train, *SWEEP, "sampler=normal,gamma,deterministic", "seed=0,1")
    assert code == 0, text
    assert text.count("stack    2 runs as one") == 3
    runs = [Run(path.parent) for path in (tmp_path / "outputs").glob("*/run.json")]
    assert [run.record["stacked"] for run in runs] == [2] * 6
    (plan,) = (tmp_path / "outputs").glob("sweeps/*/plan.json")
    assert {cell["run"] for cell in json.loads(plan.read_text())["cells"]} == {run.name for run in runs}
    # Started again, alone: every run is known by the same name, and done.
    code, text = run_command(train, *SWEEP, "sampler=normal,gamma,deterministic", "stack=1")
    assert code == 0, text
    assert "6 runs, 0 to go" in text


def test_what_is_trained_alone_is_said_and_a_failure_does_not_stop_the_others(run_command, tmp_path):
    code, text = run_command(train, *SWEEP, "sampler=normal", "optimizer.lr=1e-3,1e30", "seed=0,1,2")
    assert code == 1
    assert "3 done, 3 failed" in text
    assert "the training loss of epoch 0 is nan" in text
    code, text = run_command(train, *SWEEP, "sampler=normal", "seed=0", "output_dir=other", "trainer.precision=64-true")
    assert code == 0, text
    assert "1 runs are trained alone: trainer.precision=64-true" in text
    code, text = run_command(train, *SWEEP, "sampler=normal", "seed=0", "output_dir=other", "prior=flow")
    assert code == 0, text
    assert "1 runs are trained alone: prior=flow" in text


@pytest.mark.parametrize(("launcher", "expected"), [({}, 1), ({"n_jobs": 3}, 3), ({"n_jobs": -1}, os.cpu_count())])
def test_jobs_at_a_time_are_those_of_joblib(launcher, expected):
    assert launched_together(launcher) == expected


@pytest.mark.slow
def test_every_process_of_joblib_gets_its_share_of_a_stack(tmp_path):
    options = ("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=0,1,2,3", "stack=8")
    subprocess.run(
        command(tmp_path, *options, "trainer.max_epochs=1"), env=ENVIRONMENT, check=True, capture_output=True
    )
    records = [Run(path.parent).record for path in tmp_path.glob("*/run.json")]
    assert [record["stacked"] for record in records] == [2] * 4


def test_no_processes_are_refused(run_command, tmp_path):
    code, text = run_command(train, *SWEEP, "hydra/launcher=joblib", "hydra.launcher.n_jobs=0")
    assert code == 2
    assert "hydra.launcher.n_jobs must be an integer ≥ 1, or −1 for all cores, but got 0" in text
    assert "Traceback" not in text
    assert not list(tmp_path.glob("outputs/digits-*"))


@pytest.mark.parametrize("value", ["0", "many", "1.5"])
def test_a_wrong_size_is_refused(value, run_command):
    code, text = run_command(train, *SWEEP, f"stack={value}")
    assert code == 2
    assert "stack must be an integer ≥ 1" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("objective", options("objective"))
def test_every_objective_can_be_stacked_with_runs_of_the_same_one(objective, configure):
    assert reason_against(configure(f"objective={objective}")) is None
    assert (shape_of(configure(f"objective={objective}")) == shape_of(configure())) == (objective == "elbo")


@pytest.mark.parametrize("prior", options("prior"))
def test_every_prior_but_a_flow_can_be_stacked(prior, configure):
    reason = reason_against(configure(f"prior={prior}"))
    assert reason == ("prior=flow" if prior == "flow" else None)


@pytest.mark.parametrize("sampler", options("sampler"))
def test_every_sampler_without_weights_can_be_stacked(sampler, configure):
    reason = reason_against(configure(f"sampler={sampler}"))
    assert reason == ("sampler=flow has a network of its own" if sampler == "flow" else None)
