"""A sweep: its plan, training of the missing runs alone, and its reports of failures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from hydra.core.plugins import Plugins
from joblib import cpu_count

from tests.support.composing import REPOSITORY
from tests.support.device import TRAINED_ON
from tests.support.processes import wait_for
from tests.support.slowly import rest_slow
from vae_hydra import train
from vae_hydra.base.command.configuration import config_folder
from vae_hydra.runs.folder import Run
from vae_hydra.runs.identity import identifying_options, run_name
from vae_hydra.studies.sweep.sweeper import GridSweeper

SHORT = (
    "trainer.max_epochs=1",
    TRAINED_ON,
    "callbacks.figures.enabled=false",
    "dataset.fraction=0.1",
)
# The defaults of the options that tests set.
DEFAULT = ("trainer.max_epochs=100", "trainer.accelerator=auto", "callbacks.figures.enabled=true")
SWEEPS = sorted(file.relative_to(config_folder() / "sweep") for file in config_folder().glob("sweep/**/*.yaml"))


@pytest.fixture
def planned(run_command, tmp_path, monkeypatch):
    """Plan a sweep without training it: planned(*arguments) → cells of plan.json."""
    monkeypatch.setattr(GridSweeper, "_launch", lambda self, missing: None)

    def plan(*arguments: str) -> list[dict]:
        run_command(train, *arguments)
        (path,) = tmp_path.glob("outputs/sweeps/*/plan.json")
        return json.loads(path.read_text())["cells"]

    return plan


def names(cells: list[dict], *parts: int) -> set[tuple[str, ...]]:
    """Parts of the runs' names: 0 the dataset, 1 the noise, 2 the sampler, 3 the seed."""
    return {tuple(cell["run"].split("-")[part] for part in parts) for cell in cells}


def options(group: str) -> set[str]:
    return {file.stem for file in (config_folder() / group).glob("[!_]*.yaml")}


SAMPLERS = {"normal", "lognormal", "inverse_gaussian"}
NOISES = {"normal", "lognormal", "uniform", "inverse_gaussian"}


OF_THE_BREAK = SAMPLERS | {"student_t", "laplace", "gamma", "weibull", "deterministic"}
EVERY = {(n, s, f"s{seed}") for n in options("noise") for s in OF_THE_BREAK for seed in range(3)}
# Sweep file → parts of the runs' names, and their values, one run each.
CELLS = {
    "coffee_break": ((1, 2, 3), EVERY),
    "heavy_tailed/table": (
        (0, 1, 2),
        {("mnist", noise, sampler) for noise in NOISES | {"none"} for sampler in SAMPLERS}
        | {(data, "none", sampler) for data in ("mnist_exp", "lognormal_2d") for sampler in SAMPLERS},
    ),
}


@pytest.mark.parametrize(
    "file", rest_slow(SWEEPS, [one for one in SWEEPS if one.with_suffix("").as_posix() in CELLS]), ids=str
)
def test_every_sweep_file_plans_runs_that_exist_and_differ(file, planned):
    """Those in CELLS are compared cell for cell."""
    name = file.with_suffix("").as_posix()
    cells = planned(f"sweep={name}")
    assert len(cells) > 1
    assert all(cell["error"] is None for cell in cells)
    assert len({cell["run"] for cell in cells}) == len(cells)
    if name in CELLS:
        parts, expected = CELLS[name]
        assert names(cells, *parts) == expected
        assert len(cells) == len(expected)


def test_every_promised_sweep_exists():
    assert {file.with_suffix("").as_posix() for file in SWEEPS} >= CELLS.keys()


def test_options_of_the_command_line_apply_to_every_grid(planned):
    cells = planned("sweep=heavy_tailed/table", "seed=0,1", "sampler=normal")
    assert len(cells) == 14
    assert names(cells, 2) == {("normal",)}


def test_options_are_checked_against_the_runs_of_a_sweep_not_the_default(planned):
    """The default's dataset has no root, and neither have the runs on lognormal_2d."""
    cells = planned("sweep=heavy_tailed/table", "dataset.root=FOLDER", "threads=1")
    assert len(cells) == 21
    assert {"dataset.root=FOLDER" in cell["overrides"] for cell in cells if "mnist" in cell["run"]} == {True}
    assert {"dataset.root=FOLDER" in cell["overrides"] for cell in cells if "mnist" not in cell["run"]} == {False}
    assert not [cell for cell in cells if cell["error"]]


def test_values_of_an_option_that_a_run_lacks_make_no_further_runs(planned):
    cells = planned("-m", "sampler=normal,student_t", "sampler.df=3,5")
    assert sorted(cell["overrides"][1:] for cell in cells) == [[], ["sampler.df=3"], ["sampler.df=5"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sweep=heavy_tailed/table", "dataset.rot=FOLDER"], "an option dataset.rot; did you mean dataset.root?"),
        (["-m", "seed=0,1", "model.latentdim=3"], "an option model.latentdim; did you mean model.latent_dim?"),
        (["-m", "model.latentdim=3,4"], "an option model.latentdim; did you mean model.latent_dim?"),
        (["-m", "sampler=normal,gamma", "sampler.df=3"], "no run of this sweep has an option sampler.df"),
    ],
)
def test_an_option_that_no_run_of_a_sweep_has_is_refused_before_anything_is_trained(
    arguments, message, run_command, tmp_path
):
    code, text = run_command(train, *arguments)
    assert code == 2
    assert message in text
    assert "Traceback" not in text
    assert not list(tmp_path.glob("outputs/*-s*"))


@pytest.mark.parametrize(
    "overrides",
    [("sampler=normal,gamma", "seed=0,1", "optimizer.lr=0.1"), ("experiment=tails/inverse_gaussian_2d",)],
)
def test_runs_are_planned_under_the_names_that_they_train_under(overrides, planned, configure):
    for cell in planned("-m", *overrides):
        assert cell["run"] == run_name(configure(*cell["overrides"], *DEFAULT))
        assert cell["options"] == identifying_options(configure(*cell["overrides"], *DEFAULT))


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/status").is_file(), reason="there is no /proc with a process's greatest memory"
)
def test_ten_thousand_runs_are_planned_in_seconds_and_little_memory(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; sys.argv = ['train', '-m', 'noise=glob(*)', "
        "'sampler=normal,lognormal,laplace,gamma,weibull,student_t,beta,inverse_gaussian', "
        "'seed=range(0,50)', 'optimizer.lr=1e-2,1e-3,3e-4,1e-4,1e-5']; "
        "from vae_hydra import train; from vae_hydra.studies.sweep.sweeper import GridSweeper\n"
        "GridSweeper._launch = lambda self, missing: None\n"
        "try: train.main()\nexcept SystemExit: pass\n"
        # Not getrusage, which counts the memory of the process that started this one.
        "peak = Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0]\n"
        "print(time.process_time(), int(peak) / 1024)"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, env=_environment())
    assert "10000 runs, 10000 to go" in result.stdout
    seconds, megabytes = map(float, result.stdout.splitlines()[-1].split())
    assert seconds < 10
    assert megabytes < 300


def test_runs_that_two_grids_share_are_planned_once(planned):
    grids = "hydra.sweeper.grids=[{sampler:'normal,gamma',noise:none},{sampler:normal,noise:'none,uniform'}]"
    assert names(planned("-m", grids), 1, 2) == {("none", "normal"), ("none", "gamma"), ("uniform", "normal")}


def test_a_grid_that_is_no_mapping_is_refused(run_command):
    code, text = run_command(train, "-m", "hydra.sweeper.grids=[normal]")
    assert code != 0
    assert "hydra.sweeper.grids[0] must be a group of options, but got 'normal'" in text


def test_a_sweep_is_the_same_whatever_the_order_of_its_options(planned, tmp_path):
    planned("-m", "sampler=normal,gamma", "seed=0")
    how = (
        "threads=1",
        "logger=wandb",
        "callbacks.progress.refresh_rate=0",
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=4",
    )
    planned("-m", "seed=0", "sampler=normal,gamma", *how)
    assert len(list(tmp_path.glob("outputs/sweeps/*"))) == 1
    with pytest.raises(ValueError, match="too many values"):
        planned("-m", "seed=1", "sampler=normal,gamma")


def test_only_missing_runs_are_trained(run_command, tmp_path):
    code, text = run_command(train, "-m", *SHORT, "seed=0,1")
    assert (code, text.count("#0 :"), text.count("#1 :")) == (0, 1, 1)
    (plan,) = tmp_path.glob("outputs/sweeps/*/plan.json")
    planned = {cell["run"] for cell in json.loads(plan.read_text())["cells"]}
    assert planned == {folder.name for folder in tmp_path.glob("outputs/digits-*")}
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("outputs/digits-*/*")}

    code, text = run_command(train, "-m", *SHORT, "seed=0,1")
    assert code == 0
    assert "2 runs, 0 to go" in text
    assert "2 done" in text

    code, text = run_command(train, "-m", *SHORT, "seed=0,1", "noise=none,uniform")
    assert code == 0
    assert "4 runs, 2 to go" in text
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_cell_that_fails_leaves_its_error_and_is_tried_again(run_command, tmp_path):
    arguments = ("-m", *SHORT, "sampler=normal,deterministic", "objective.free_bits=0.1")
    code, text = run_command(train, *arguments)
    assert code == 1
    assert "1 done, 1 failed" in text
    (failed,) = tmp_path.glob("outputs/*-deterministic-*")
    record = Run(failed).record
    assert record["status"] == "failed"
    assert "objective.free_bits frees part of a KL" in record["error"]
    assert f"FAILED   outputs/{failed.name}: ValueError: objective.free_bits" in text
    assert "Traceback" not in text

    code, text = run_command(train, *arguments)
    assert code == 1
    assert "2 runs, 1 to go" in text


def test_a_cell_that_cannot_be_composed_is_logged_and_the_others_go_on(run_command, tmp_path):
    # The preset says how to add up the KL of three samplers only.
    code, text = run_command(
        train, "-m", *SHORT, "experiment=heavy_tailed/mnist", "sampler=gamma,normal", "dataset=digits", "model=mlp"
    )
    assert code == 1
    assert "1 done, 1 failed" in text
    assert "published_kl_reduction.gamma" in text
    (plan,) = tmp_path.glob("outputs/sweeps/*/plan.json")
    failed, done = json.loads(plan.read_text())["cells"]
    assert failed["run"] is None
    assert "published_kl_reduction.gamma" in failed["error"]
    assert done["error"] is None


def test_an_unexpected_error_is_recorded_with_its_traceback(run_command, tmp_path, monkeypatch):
    def breaks(*arguments, **options):
        raise RuntimeError("out of memory")

    monkeypatch.setattr("vae_hydra.training.module.VAEModule.training_step", breaks)
    code, text = run_command(train, "-m", *SHORT, "seed=0,1")
    assert code == 1
    assert "2 failed" in text
    for folder in tmp_path.glob("outputs/digits-*"):
        assert Run(folder).record["error"] == "RuntimeError: out of memory"
        assert "in breaks" in (folder / "train.log").read_text()


def test_a_broken_launcher_is_logged_and_the_rest_is_counted(run_command, monkeypatch):
    class Breaking:
        def launch(self, *arguments, **options):
            raise RuntimeError("a worker was killed")

    monkeypatch.setattr(Plugins, "instantiate_launcher", lambda *arguments, **options: Breaking())
    code, text = run_command(train, "-m", *SHORT, "seed=0,1")
    assert code == 1
    assert "the launcher stopped: RuntimeError: a worker was killed" in text
    assert "2 missing" in text
    assert "start the same command again for the 2 that are not done" in text


def test_a_sweep_file_needs_no_multirun_flag(planned):
    assert len(planned("sweep=heavy_tailed/beta")) == 12


@pytest.mark.slow
@pytest.mark.parametrize("cores", [1, 2])
def test_joblib_gives_each_job_its_share_of_the_cores_and_the_same_scores(cores, run_command, tmp_path):
    launcher = ("hydra/launcher=joblib", f"hydra.launcher.n_jobs={cores}")
    command = [sys.executable, "-m", "vae_hydra.train", "-m", *SHORT, "seed=0,1", *launcher]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, env=_environment())
    runs = [Run(folder) for folder in sorted(tmp_path.glob("outputs/digits-*"))]
    assert [run.record["threads"] for run in runs] == 2 * [max(1, cpu_count() // cores)]
    assert len(list(tmp_path.glob("outputs/sweeps/*"))) == 1
    for run in runs:
        again = train.train({**run.config, "output_dir": str(tmp_path / "again")})
        assert again == pytest.approx(run.metrics, rel=1e-4)


def test_a_changed_test_noise_is_tested_again_and_other_scores_stay(run_command, tmp_path):
    every = ("-m", *SHORT, "seed=0,1")
    few = (*every, "~test_noises.normal", "~test_noises.lognormal", "~test_noises.inverse_gaussian")
    assert run_command(train, *few)[0] == 0
    (path, _) = sorted(tmp_path.glob("outputs/digits-*"))
    weak = Run(path).metrics
    assert "denoise/normal/half_sse" not in weak
    assert "2 runs, 2 to go" in run_command(train, *every)[1]
    both = Run(path).metrics
    assert {name: both[name] for name in weak} == weak
    assert "denoise/normal/half_sse" in both
    code, text = run_command(train, *few, "test_noises.uniform.distribution.high=5")
    assert code == 0
    assert "2 runs, 2 to go" in text
    strong = Run(path).metrics
    assert strong["denoise/uniform/half_sse"] != both["denoise/uniform/half_sse"]
    assert strong["denoise/normal/half_sse"] == both["denoise/normal/half_sse"]


def test_test_noises_may_be_left_out_altogether(run_command, tmp_path):
    code, text = run_command(train, "-m", *SHORT, "seed=0,1", "~test_noises")
    assert (code, "Traceback" in text) == (0, False)
    (path, _) = sorted(tmp_path.glob("outputs/digits-*"))
    assert not any(name.startswith("denoise") for name in Run(path).metrics)
    # Both ways of having no test noises mean the same.
    assert "2 runs, 0 to go" in run_command(train, "-m", *SHORT, "seed=0,1", "test_noises=null")[1]


def test_an_impossible_test_leaves_finished_runs_alone(run_command, tmp_path):
    assert run_command(train, "-m", *SHORT, "seed=0,1")[0] == 0
    before = {path: path.read_bytes() for path in tmp_path.glob("outputs/digits-*/*.*")}
    strong = ("+noise@test_noises.strong=normal", "test_noises.strong.name=strong")
    code, text = run_command(train, "-m", *SHORT, "seed=0,1", *strong, "test_noises.strong.distribution.scale=-3")
    assert code == 1
    assert "2 not tested on every noise" in text
    assert "test_noises.strong" in text
    assert {path: path.read_bytes() for path in before} == before
    code, text = run_command(train, "-m", *SHORT, "seed=0,1", strong[0], "test_noises.strong.distribution.scale=3")
    assert code == 1
    assert "test_noises.normal and test_noises.strong are both called 'normal'" in text
    assert "Traceback" not in text


def test_a_damaged_run_is_logged_and_the_others_go_on(run_command, tmp_path):
    assert run_command(train, "-m", *SHORT, "seed=0,1")[0] == 0
    (one, _) = sorted(tmp_path.glob("outputs/digits-*"))
    (one / "run.json").write_text("{")
    code, text = run_command(train, "-m", *SHORT, "seed=0,1,2")
    assert code == 1
    assert "1 damaged, 2 done" in text
    assert f"DAMAGED  outputs/{one.name}" in text
    assert "Traceback" not in text


def test_a_forced_seed_is_planned_as_it_is_trained(planned):
    assert names(planned("-m", "seed=0", "++seed=7"), 3) == {("s7",)}


@pytest.mark.slow
def test_sigterm_ends_the_workers_of_joblib_and_the_sweep_goes_on_later(tmp_path):
    launcher = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "threads=1")
    long = ("trainer.max_epochs=100000", "callbacks.figures.enabled=false", TRAINED_ON)
    command = [sys.executable, "-m", "vae_hydra.train", "-m", *long, "seed=0,1", *launcher]
    process = subprocess.Popen(command, cwd=tmp_path, env=_environment(), stdout=subprocess.DEVNULL)
    wait_for(lambda: len(list(tmp_path.glob("outputs/digits-*/last.ckpt"))) == 2, process)
    workers = [child for child in psutil.Process(process.pid).children() if "loky" in " ".join(child.cmdline())]
    assert len(workers) >= 2
    process.terminate()
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert not psutil.wait_procs(workers, timeout=10)[1]
    records = [Run(folder).record["status"] for folder in tmp_path.glob("outputs/digits-*")]
    assert records == ["interrupted", "interrupted"]


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"} | {"PYTHONPATH": str(REPOSITORY)}


def test_two_spellings_of_a_run_are_one_run(planned):
    assert len(planned("-m", "beta.value=1,1.0,2")) == 2
