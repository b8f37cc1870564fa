"""W&B, MLflow and TensorBoard, read back from what they wrote."""

from __future__ import annotations

import importlib.util
import json
import math
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections import Counter
from pathlib import Path

import lightning as L
import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.support.composing import QUICK, REPOSITORY
from vae_hydra import load
from vae_hydra import train as train_command
from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import train
from vae_hydra.studies.dashboard import AXIS, CLEAN, CURVES, NOISY, SCORES
from vae_hydra.training.callbacks import NonFiniteLossError
from vae_hydra.training.loggers import finishing, tensorboard_logger
from vae_hydra.training.loggers.logged import Logged
from vae_hydra.training.loggers.mlflow import MlflowRun
from vae_hydra.training.loggers.run_logger import RunLogger

FILE_HEADER, BLOCK, RECORD_HEADER = 7, 32768, 7


def wandb_records(path: Path):
    """Records of an offline .wandb file: protocol buffers in LevelDB's log format."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, position, part = path.read_bytes(), FILE_HEADER, b""
    while position + RECORD_HEADER <= len(data):
        left = BLOCK - position % BLOCK
        if left < RECORD_HEADER:
            position += left
            continue
        length, kind = int.from_bytes(data[position + 4 : position + 6], "little"), data[position + 6]
        if position + RECORD_HEADER + length > len(data):
            # W&B is still writing it.
            return
        part += data[position + RECORD_HEADER : position + RECORD_HEADER + length]
        position += RECORD_HEADER + length
        # 1: whole, 2: first, 3: middle, 4: last.
        if kind in (1, 4):
            record = Record()
            record.ParseFromString(part)
            part = b""
            yield record


def wait_until_written(path: Path) -> None:
    """W&B's own process may still be writing when a run has ended."""
    until = time.monotonic() + 30
    while not any(record.HasField("exit") for record in wandb_records(path)):
        assert time.monotonic() < until
        time.sleep(0.1)


def offline_runs(run: Run) -> list[Path]:
    paths = sorted(run.folder.glob("wandb/offline-run-*/*.wandb"))
    for path in paths:
        wait_until_written(path)
    return paths


def test_wandb_offline_holds_metrics_config_figures_and_a_good_end(configure):
    config = configure("logger=wandb", "noise=normal", "callbacks.figures.enabled=true")
    train(config)
    run = Run.of(config)
    (path,) = offline_runs(run)
    records = list(wandb_records(path))
    logged = {item.nested_key[0] if item.nested_key else item.key for r in records for item in r.history.item}
    wanted = {"train/loss", "train/kl", "train/beta", "train/learning_rate", "val/loss", "denoise/normal/half_sse"}
    assert wanted <= logged
    assert {f"figures/{name}" for name in ("reconstructions", "denoised", "prior_samples", "loss_curves")} <= logged
    started = next(r.run for r in records if r.HasField("run"))
    assert started.run_id == f"{run.name}-{run.record['id']}"
    assert (started.display_name, started.project) == (run.name, "vae_hydra")
    assert set(started.tags) == {"digits", "normal"}
    settings = {item.key: json.loads(item.value_json) for r in records for item in r.config.update}
    settings |= {item.key: json.loads(item.value_json) for item in started.config.update}
    assert (settings["seed"], settings["trainer"]["max_epochs"]) == (0, 2)
    assert settings["sampler"]["_target_"] == "vae_hydra.model.samplers.NormalSampler"
    assert [r.exit.exit_code for r in records if r.HasField("exit")] == [0]
    assert list((path.parent / "files/media/images/figures").glob("*.png"))
    # The dashboard asks for these names.
    asked = {*CURVES, AXIS, *(f"{CLEAN}/{name}" for name in SCORES), *(f"{noise}/half_sse" for noise in NOISY)}
    assert asked <= logged
    assert all(settings[group]["name"] for group in ("dataset", "noise", "sampler"))


def test_runs_of_one_process_are_runs_of_their_own_and_a_crash_is_marked(configure):
    good, bad = configure("logger=wandb"), configure("logger=wandb", "optimizer.lr=1e30")
    with pytest.raises(NonFiniteLossError):
        train(bad)
    train(good)
    for config, code in ((bad, 1), (good, 0)):
        (path,) = offline_runs(Run.of(config))
        assert [r.exit.exit_code for r in wandb_records(path) if r.HasField("exit")] == [code]


def test_tensorboard_holds_metrics_and_figures(configure):
    config = configure("logger=tensorboard", "callbacks.figures.enabled=true")
    train(config)
    events = EventAccumulator(str(Run.of(config).folder / "tensorboard"))
    events.Reload()
    assert {"train/loss", "val/loss", "train/beta"} <= set(events.Tags()["scalars"])
    assert "figures/reconstructions" in events.Tags()["images"]


def test_offline_must_be_true_or_false(configure):
    config = configure("logger=wandb", "logger.wandb.offline=maybe")
    with pytest.raises(ValueError, match="logger.wandb.offline must be true or false, but got 'maybe'"):
        train(config)
    assert not Run.of(config).folder.exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("logger.wandb.project=a/b", "logger.wandb.project must be a name without any of /"),
        ("logger.wandb.tags=foo", "logger.wandb.tags must be a list of words"),
        ("logger.wandb.tags=null", "logger.wandb.tags must be a list of words"),
        (f"tags=[{'x' * 65}]", "tags of W&B have at most 64 characters"),
    ],
)
def test_names_that_wandb_does_not_take_are_refused(option, message, configure):
    config = configure("logger=wandb", option)
    with pytest.raises(ValueError, match=message):
        train(config)
    assert not Run.of(config).folder.exists()


def test_commands_that_loggers_print_can_be_pasted_and_digits_are_names(configure, tmp_path, caplog):
    options = ("logger=[wandb,tensorboard]", "logger.wandb.group=5", "logger.wandb.tags=[a,a]", "tags=[a]")
    config = configure(*options, f"output_dir={tmp_path / 'two words'}")
    train(config)
    run = Run.of(config)
    (path,) = offline_runs(run)
    assert f"wandb sync '{path.parent}'" in caplog.text
    assert f"tensorboard --logdir '{run.folder / 'tensorboard'}'" in caplog.text
    started = next(r.run for r in wandb_records(path) if r.HasField("run"))
    assert (started.run_group, [*started.tags]) == ("5", ["a"])


def logged_values(path: Path) -> dict[str, dict]:
    """The last value of every key of an offline run that is more than a number."""
    values: dict[str, dict] = {}
    for record in wandb_records(path):
        for item in record.history.item:
            if len(item.nested_key) == 2:
                values.setdefault(item.nested_key[0], {})[item.nested_key[1]] = json.loads(item.value_json)
    return values


def test_wandb_and_tensorboard_hold_histograms_of_the_parameters(configure):
    config = configure("logger=[wandb,tensorboard]", "callbacks.histograms.every_n_epochs=1")
    train(config)
    run = Run.of(config)
    names = {f"parameters/{name}" for name, _ in load(run.folder, "last").named_parameters()}
    (path,) = offline_runs(run)
    values = logged_values(path)
    assert names == {name for name in values if name.startswith("parameters/")}
    for name, parameter in load(run.folder, "last").named_parameters():
        histogram = values[f"parameters/{name}"]
        assert histogram["_type"] == "histogram"
        assert sum(histogram["values"]) == parameter.numel()
        assert histogram["bins"][-1] == pytest.approx(parameter.max().item(), rel=1e-4)
    events = EventAccumulator(str(run.folder / "tensorboard"))
    events.Reload()
    assert names == {name for name in events.Tags()["histograms"] if name.startswith("parameters/")}


def test_parameters_that_are_not_finite_have_no_histogram(tmp_path):
    logger = tensorboard_logger(tmp_path, "id")
    logger.log_histograms({"bad": torch.tensor([1.0, math.nan]), "good": torch.tensor([1.0, 2.0])}, 1)
    logger.end(None)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert events.Tags()["histograms"] == ["good"]


def test_the_table_of_a_sweep_is_logged_beside_its_runs(run_command, tmp_path):
    arguments = ("-m", *QUICK, "logger=wandb", "sampler=normal,deterministic", "model.latent_dim=2,-2")
    code, text = run_command(train_command, *arguments)
    assert code == 1
    assert "-table, beside the runs of the group" in text
    (sweep,) = tmp_path.glob("outputs/sweeps/*")
    (path,) = sweep.glob("wandb/offline-run-*/*.wandb")
    wait_until_written(path)
    started = next(r.run for r in wandb_records(path) if r.HasField("run"))
    assert (started.run_group, started.display_name) == (sweep.name, f"{sweep.name}-table")
    for run in tmp_path.glob("outputs/digits-*/wandb/offline-run-*/*.wandb"):
        wait_until_written(run)
        assert next(r.run for r in wandb_records(run) if r.HasField("run")).run_group == sweep.name

    values = logged_values(path)
    (file,) = (path.parent / "files/media/table").glob("results_*.table.json")
    table = json.loads(file.read_text())
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert sorted(row["status"] for row in rows) == ["done", "done", "failed", "failed"]
    for row in rows:
        if row["status"] == "done":
            scores = Run(tmp_path / "outputs" / row["run"]).metrics
            assert row["reconstruct/clean/half_sse"] == scores["reconstruct/clean/half_sse"]
    assert values["tables/reconstruct/clean/half_sse"]["_type"] == "table-file"
    assert any(name.startswith("figures/") and value["_type"] == "image-file" for name, value in values.items())


def test_wandb_agents_run_the_grid_of_the_sweep_file():
    agents = yaml.safe_load((REPOSITORY / "docs/wandb/coffee_break.yaml").read_text())
    values = {name: set(one.get("values", [one.get("value")])) for name, one in agents["parameters"].items()}
    noises = {file.stem for file in (REPOSITORY / "conf/noise").glob("[!_]*.yaml")}
    (ours,) = yaml.safe_load((REPOSITORY / "conf/sweep/coffee_break.yaml").read_text())["hydra"]["sweeper"]["grids"]
    samplers = ours.pop("sampler").split(",")
    assert len(samplers) == 8
    assert ours == {"noise": "glob(*)", "seed": "0,1,2", "trainer.max_epochs": 50}
    assert values == {"sampler": set(samplers), "noise": noises, "seed": {0, 1, 2}, "trainer.max_epochs": {50}}


@pytest.mark.slow
def test_the_command_of_a_wandb_agent_trains_a_cell_of_the_sweep(tmp_path):
    agents = yaml.safe_load((REPOSITORY / "docs/wandb/coffee_break.yaml").read_text())
    parameters = {name: one for name, one in agents["parameters"].items() if "values" in one}
    arguments = [f"{name}={one['values'][0]}" for name, one in parameters.items()]
    words = {"${env}": [], "${interpreter}": [sys.executable], "${args_no_hyphens}": arguments}
    command = [word for entry in agents["command"] for word in words.get(entry, [entry])]
    quick = [*QUICK, "logger.wandb.offline=true", f"output_dir={tmp_path}"]
    subprocess.run([*command, *quick], cwd=REPOSITORY, check=True, capture_output=True)
    (folder,) = tmp_path.glob("digits-*")
    assert folder.name.startswith("digits-inverse_gaussian-deterministic-s0-")
    assert Run(folder).is_done


HAS_MLFLOW = importlib.util.find_spec("mlflow") is not None
HAS_TRACKIO = importlib.util.find_spec("trackio") is not None
needs_trackio = pytest.mark.skipif(not HAS_TRACKIO, reason="needs trackio, of the extra trackio, which is not in dev")
needs_mlflow = pytest.mark.skipif(not HAS_MLFLOW, reason="needs mlflow, of the extra mlflow, which is not in dev")
# Epochs 0 to 2 are logged before the crash; last.ckpt has the first two.
CRASHES = ("trainer.max_epochs=4", "callbacks.checkpoints.every_n_epochs=2", "dataset.fraction=0.1")


class Crash(L.Callback):
    """An error where the fourth epoch begins."""

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 3:
            raise RuntimeError("crashed")


def crash_and_resume(config) -> Run:
    with pytest.raises(RuntimeError, match="crashed"):
        train(config, [Crash()])
    train(config)
    return Run.of(config)


def wandb_rows(paths: list[Path]) -> list[tuple[int, str]]:
    """(step, name) of every value in offline files, from the oldest to the newest."""
    records = (r for path in paths for r in wandb_records(path) if r.HasField("history"))
    rows = [(r.history.step.num, (*item.nested_key, item.key)[0]) for r in records for item in r.history.item]
    return [(step, name) for step, name in rows if not name.startswith("_")]


def test_a_resumed_run_is_the_same_wandb_run_with_each_step_once(configure):
    run = crash_and_resume(configure("logger=wandb", *CRASHES))
    paths = sorted(offline_runs(run), key=lambda path: path.stat().st_mtime)
    assert len(paths) == 2
    ids = {r.run.run_id for path in paths for r in wandb_records(path) if r.HasField("run")}
    assert ids == {f"{run.name}-{run.record['id']}"}
    counted = Counter((step, name) for step, name in wandb_rows(paths) if name.startswith(("train/", "val/")))
    assert max(counted.values()) == 1
    epochs = [step for step, name in counted if name == "train/loss"]
    assert len(epochs) == 4
    assert epochs == sorted(epochs)


def test_a_resumed_run_has_each_step_once_in_tensorboard(configure):
    run = crash_and_resume(configure("logger=tensorboard", *CRASHES))
    events = EventAccumulator(str(run.folder / "tensorboard"))
    events.Reload()
    steps = [event.step for event in events.Scalars("train/loss")]
    assert len(steps) == len(set(steps)) == 4


def mlflow_runs(uri: str):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("vae_hydra")
    return client, client.search_runs([experiment.experiment_id])


@pytest.fixture
def local_mlflow(tmp_path, monkeypatch) -> str:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return f"sqlite:///{tmp_path / 'outputs' / 'mlflow.db'}"


def assert_mlflow_has(uri: str, run: Run, folder: Path) -> None:
    client, (found,) = mlflow_runs(uri)
    assert (found.info.run_name, found.info.status) == (run.name, "FINISHED")
    assert found.data.params["optimizer.lr"] == str(run.config["optimizer"]["lr"])
    assert found.data.params["sampler._target_"] == "vae_hydra.model.samplers.NormalSampler"
    assert found.data.tags["sampler"] == "normal"
    for name, value in run.metrics.items():
        assert found.data.metrics[name] == pytest.approx(value, rel=1e-5)
    history = client.get_metric_history(found.info.run_id, "train/loss")
    assert len({metric.step for metric in history}) == len(history) == 4
    figures = {Path(file.path).name for file in client.list_artifacts(found.info.run_id, "figures")}
    assert "reconstructions.png" in figures
    model = load(client.download_artifacts(found.info.run_id, "model", str(folder)))
    for name, parameter in load(run.folder).named_parameters():
        assert torch.equal(dict(model.named_parameters())[name], parameter)


@needs_mlflow
def test_mlflow_keeps_params_metrics_figures_and_the_model_of_a_resumed_run(configure, local_mlflow, tmp_path):
    run = crash_and_resume(configure("logger=mlflow", "callbacks.figures.enabled=true", *CRASHES))
    (tmp_path / "downloaded").mkdir()
    assert_mlflow_has(local_mlflow, run, tmp_path / "downloaded")


@pytest.mark.parametrize("uri", ["localhost:5000", "127.0.0.1:5000", "my_store", 5000])
def test_an_address_that_is_no_uri_is_refused(uri, configure, monkeypatch):
    """MLflow would make a folder of this name."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    with pytest.raises(ValueError, match=r"logger\.mlflow\.tracking_uri must be a URI such as http://HOST:5000"):
        train(configure("logger=mlflow", f"logger.mlflow.tracking_uri={uri}"))


@needs_mlflow
def test_mlflow_marks_a_failed_run(configure, local_mlflow):
    with pytest.raises(NonFiniteLossError):
        train(configure("logger=mlflow", "optimizer.lr=1e30"))
    assert [run.info.status for run in mlflow_runs(local_mlflow)[1]] == ["FAILED"]


@needs_mlflow
def test_a_sweep_is_the_parent_of_its_runs_with_their_table(run_command, local_mlflow, tmp_path):
    words = ("-m", "seed=0,1", "logger=mlflow", *QUICK, "dataset.fraction=0.1", f"output_dir={tmp_path / 'outputs'}")
    for _ in range(2):
        code, text = run_command(train_command, *words)
        assert code == 0, text
        assert "-table, beside the runs of the group" in text
    client, runs = mlflow_runs(local_mlflow)
    [parent] = [run for run in runs if run.info.run_name.endswith("-table")]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(children) == len(runs) - 1 == 2
    table = json.loads(Path(client.download_artifacts(parent.info.run_id, "results.json")).read_text(encoding="utf-8"))
    scores = [row[table["columns"].index("reconstruct/clean/half_sse")] for row in table["data"]]
    metric = "reconstruct/clean/half_sse"
    assert sorted(scores) == pytest.approx(sorted(run.data.metrics[metric] for run in children))
    shown = json.loads(parent.data.tags["mlflow.loggedArtifacts"])
    assert [one["path"] for one in shown][:2] == ["results.json", f"tables/{metric}.json"]


@pytest.fixture
def mlflow_server(tmp_path):
    """The address of an MLflow server on a free port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    stores = [f"--backend-store-uri=sqlite:///{tmp_path}/server.db", f"--artifacts-destination={tmp_path}/server"]
    command = [sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={port}", "--workers=1", *stores]
    with (tmp_path / "server.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        until = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1)
                break
            except OSError:
                assert time.monotonic() < until, (tmp_path / "server.log").read_text()
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
        server.terminate()


@needs_mlflow
@pytest.mark.slow
def test_a_real_mlflow_server_keeps_the_run(configure, mlflow_server, tmp_path):
    """pytest -m slow tests/training/test_loggers.py -k real_mlflow_server"""
    uri = f"logger.mlflow.tracking_uri={mlflow_server}"
    run = crash_and_resume(configure("logger=mlflow", uri, "callbacks.figures.enabled=true", *CRASHES))
    (tmp_path / "downloaded").mkdir()
    assert_mlflow_has(mlflow_server, run, tmp_path / "downloaded")


@pytest.fixture
def trackio_project(monkeypatch, tmp_path_factory) -> str:
    """A project of its own: trackio reads the folder of its store once in a process."""
    monkeypatch.delenv("TRACKIO_SERVER_URL", raising=False)
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path_factory.getbasetemp() / "trackio"))
    return f"project{uuid.uuid4().hex[:8]}"


def trackio_logs(project: str) -> dict[str, list[dict]]:
    from trackio.sqlite_storage import SQLiteStorage

    return {name: SQLiteStorage.get_logs(project, name) for name in SQLiteStorage.get_runs(project)}


@needs_trackio
def test_trackio_keeps_options_metrics_and_figures_of_a_resumed_run(configure, trackio_project, capsys):
    from trackio.sqlite_storage import SQLiteStorage

    words = ("logger=trackio", f"logger.trackio.project={trackio_project}", "callbacks.figures.enabled=true")
    run = crash_and_resume(configure(*words, "tags=[first]", *CRASHES))
    [(name, logs)] = trackio_logs(trackio_project).items()
    assert name == f"{run.name}-{run.record['id']}"
    steps = [row["step"] for row in logs if "train/loss" in row]
    assert len(steps) == len(set(steps)) == 4
    config = SQLiteStorage.get_run_config(trackio_project, name)
    assert (config["seed"], config["optimizer.lr"], config["tags"]) == (0, 1e-3, "first")
    assert any("figures/reconstructions" in row for row in logs)
    [alert] = SQLiteStorage.get_alerts(trackio_project)
    assert (alert["level"], alert["text"]) == ("error", "RuntimeError: crashed")
    assert "trackio show" not in capsys.readouterr().out


def test_a_token_stays_out_of_the_run_folder(configure):
    config = configure("logger=trackio", "logger.trackio.server_url='http://127.0.0.1:9/?write_token=x'")
    with pytest.raises(ValueError, match="the token in TRACKIO_WRITE_TOKEN"):
        train(config)
    assert not Run.of(config).folder.exists()


def names_in_trackio(run: Run) -> set[str]:
    project = run.config["logger"]["trackio"]["project"]
    return {name for row in trackio_logs(project).popitem()[1] for name in row} - {"step", "timestamp"}


def names_in_wandb(run: Run) -> set[str]:
    # trainer/global_step is the axis of W&B's plots.
    return {name for _, name in wandb_rows(offline_runs(run))} - {"trainer/global_step"}


def names_in_tensorboard(run: Run) -> set[str]:
    events = EventAccumulator(str(run.folder / "tensorboard"))
    events.Reload()
    return set(events.Tags()["scalars"])


def names_in_mlflow(run: Run) -> set[str]:
    return set(mlflow_runs(f"sqlite:///{run.folder.parent / 'mlflow.db'}")[1][0].data.metrics)


@pytest.mark.parametrize(
    ("logger", "names"),
    [
        ("wandb", names_in_wandb),
        ("tensorboard", names_in_tensorboard),
        pytest.param("mlflow", names_in_mlflow, marks=needs_mlflow),
        pytest.param("trackio", names_in_trackio, marks=needs_trackio),
    ],
)
def test_every_logger_has_the_names_of_the_run_folder(configure, monkeypatch, trackio_project, logger, names):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    config = configure(f"logger={logger}", "noise=normal", "callbacks.histograms.every_n_epochs=0")
    if logger == "trackio":
        config["logger"]["trackio"]["project"] = trackio_project
    train(config)
    run = Run.of(config)
    header = (run.folder / "metrics.csv").read_text().splitlines()[0].split(",")
    assert names(run) == {*header, *run.metrics}


def test_wandb_is_silent_but_for_one_line(run_command):
    code, text = run_command(train_command, *QUICK, "logger=wandb")
    assert code == 0
    assert len([line for line in text.splitlines() if "wandb" in line.lower()]) == 1
    assert "send it with: wandb sync" in text


def test_what_another_run_of_the_logger_has_counts_for_nothing(tmp_path):
    logged = Logged(tmp_path / "logged.json", "a")
    logged.note({"x": 1.0}, 5)
    assert Logged(tmp_path / "logged.json", "a").new({"x": 1.0, "y": 2.0}, 5) == {"y": 2.0}
    assert Logged(tmp_path / "logged.json", "a").new({"x": 2.0}, 4) == {}
    logged.note({"train/seconds_per_epoch": 1.0}, 5)
    assert logged.new({"train/seconds_per_epoch": 2.0, "x": 2.0}, 5) == {"x": 2.0}
    assert Logged(tmp_path / "logged.json", "b").new({"x": 1.0}, 4) == {"x": 1.0}
    (tmp_path / "logged.json").write_text("{")
    with pytest.raises(ValueError, match="is damaged: .*; delete it"):
        Logged(tmp_path / "logged.json", "a")


class Ending(RunLogger):
    """A logger that notes its end, and may fail at it."""

    title, name, version, place, destination = "ending", "", "", "", ""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.ends = error, []

    def log_hyperparams(self, *_) -> None: ...

    def send(self, *_) -> None: ...

    def send_figure(self, *_) -> None: ...

    def end(self, error) -> None:
        self.ends.append(error)
        if self.error:
            raise self.error


def test_a_logger_that_cannot_be_closed_hides_no_error_and_keeps_no_other_open(caplog):
    loggers = [Ending(ConnectionError("the server is gone")), Ending()]
    cause = ValueError("the cause")
    with pytest.raises(ValueError, match="the cause"), finishing(loggers, {}):
        raise cause
    with finishing(loggers, {}):
        pass
    assert [logger.ends for logger in loggers] == [[cause, None]] * 2
    assert caplog.text.count("could not be closed, and may show the run as unfinished: the server is gone") == 2


def test_a_store_of_mlflow_that_was_never_reached_is_not_asked_again(tmp_path):
    logger = MlflowRun(tmp_path, "experiment", "http://127.0.0.1:9", {}, log_model=False)
    logger._store = None
    logger.end(ValueError("unreachable"))
