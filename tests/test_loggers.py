"""W&B and TensorBoard, read back from what they wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vae_hydra.callbacks import NonFiniteLossError
from vae_hydra.run import Run
from vae_hydra.train import train

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
        part += data[position + RECORD_HEADER : position + RECORD_HEADER + length]
        position += RECORD_HEADER + length
        # 1: whole, 2: first, 3: middle, 4: last.
        if kind in (1, 4):
            record = Record()
            record.ParseFromString(part)
            part = b""
            yield record


def offline_runs(run: Run) -> list[Path]:
    return sorted(run.folder.glob("wandb/offline-run-*/*.wandb"))


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
    assert settings["sampler"]["_target_"] == "vae_hydra.samplers.NormalSampler"
    assert [r.exit.exit_code for r in records if r.HasField("exit")] == [0]
    assert list((path.parent / "files/media/images/figures").glob("*.png"))


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
