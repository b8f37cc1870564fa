"""Files that are damaged, disks that are full, files of strangers: refused by name, with what to do, or harmless."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from lightning.pytorch.callbacks import Callback

import vae_hydra
from tests.support.composing import CONF, composed
from tests.support.device import OPENED_ON, TRAINED_ON
from tests.support.outcomes import assert_same_outcome
from vae_hydra import evaluate, info, train
from vae_hydra.base.command.configuration import plain
from vae_hydra.base.hydra_versions import initialized
from vae_hydra.data.sources.torchvision_images import load_torchvision
from vae_hydra.runs.build import build_experiment, describe
from vae_hydra.runs.checkpoint import read_checkpoint
from vae_hydra.runs.folder import Run
from vae_hydra.runs.sharing.weights import WEIGHTS, write_config, write_weights
from vae_hydra.runs.warm_start import inherit
from vae_hydra.training.callbacks import Interrupted
from vae_hydra.training.history import History, read_epochs

SMALL = ("model.encoder.widths=[8]", "model.decoder.widths=[8]")
SHORT = (TRAINED_ON, "callbacks.figures.enabled=false", "trainer.max_epochs=4", "threads=1")
PLACES = 20


class Stop(Callback):
    """Send SIGTERM within the third epoch."""

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == (2, 1):
            os.kill(os.getpid(), signal.SIGTERM)


def small_config(folder: Path) -> dict:
    return composed(*SHORT, *SMALL, f"output_dir={folder}")


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Run:
    """A run that is done, not to be changed."""
    config = small_config(tmp_path_factory.mktemp("done"))
    train.train(config)
    return Run.of(config)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> Run:
    """The same run, stopped within its third epoch of four, not to be changed."""
    config = small_config(tmp_path_factory.mktemp("stopped"))
    with pytest.raises(Interrupted):
        train.train(config, [Stop()])
    return Run.of(config)


@pytest.fixture
def copied(done, tmp_path) -> Run:
    """A copy of the run, where the commands of ``run_command`` find it."""
    return Run(shutil.copytree(done.folder, tmp_path / "outputs" / done.name))


@pytest.fixture
def cut(stopped, tmp_path):
    """A copy of the run that was stopped, and its configuration there."""
    run = Run(shutil.copytree(stopped.folder, tmp_path / "outputs" / stopped.name))
    return small_config(tmp_path / "outputs"), run


def covered_by_checksums(path: Path) -> list[range]:
    """Where in a zip archive the contents of its entries are."""
    data, contents = path.read_bytes(), []
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            begin = entry.header_offset + 30
            begin += sum(struct.unpack("<HH", data[begin - 4 : begin]))
            contents.append(range(begin, begin + entry.file_size))
    return contents


def flip(path: Path, place: int, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def leaves(value, path=()):
    if isinstance(value, (dict, list, tuple)):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for key, entry in pairs for leaf in leaves(entry, (*path, key))]
    return [(path, value)]


def assert_equal(one, other) -> None:
    assert [path for path, _ in leaves(one)] == [path for path, _ in leaves(other)]
    for (path, value), (_, expected) in zip(leaves(one), leaves(other), strict=True):
        same = torch.equal(value, expected) if isinstance(value, torch.Tensor) else value == expected
        assert same, path


def refusal(read, path: Path, expected) -> str | None:
    """Why ``path`` is refused; None if it is read, and then to the same."""
    try:
        value = read(path)
    except ValueError as error:
        return str(error)
    assert_equal(value, expected)
    return None


def weights_of(path: Path):
    return dict(vae_hydra.load(path).state_dict())


def refuse_to_train(module, batch, batch_idx):
    pytest.fail("an epoch was begun")


def fill(disk: Path) -> None:
    """Leave not a byte free."""
    with (disk / "fill").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


# Damaged checkpoints.


@pytest.mark.parametrize("region", ["content", "structure"])
def test_a_flipped_bit_of_a_checkpoint_is_refused_or_harmless(region, done, tmp_path):
    """In what checksums cover it is always refused; between, in headers and padding, at least never used."""
    original = done.folder / "last.ckpt"
    expected, size = read_checkpoint(original), original.stat().st_size
    content = {place for part in covered_by_checksums(original) for place in part}
    places = sorted(content if region == "content" else set(range(size)) - content)
    rng, reasons = random.Random(0), []
    for place in rng.sample(places, PLACES):
        damaged = shutil.copy(original, tmp_path / "last.ckpt")
        flip(damaged, place, rng)
        reasons.append(refusal(read_checkpoint, damaged, expected))
    refused = [reason for reason in reasons if reason is not None]
    assert all(f"{damaged} cannot be read as a checkpoint; it is damaged" in reason for reason in refused)
    assert len(refused) == PLACES if region == "content" else 0 < len(refused) < PLACES


def test_an_entry_that_is_marked_as_a_folder_is_refused(done, tmp_path):
    """No checksum differs, but torch would leave a tensor's memory as it found it."""
    path = tmp_path / "last.ckpt"
    with zipfile.ZipFile(done.folder / "last.ckpt") as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            entry.external_attr |= 0x10 if entry.filename.endswith("data/3") else 0
            target.writestr(entry, source.read(entry))
    with pytest.raises(ValueError, match=r"data/3 is marked as a folder"):
        read_checkpoint(path)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip_a_weight(path: Path) -> None:
    largest = max(covered_by_checksums(path), key=len)
    flip(path, largest[len(largest) // 2], random.Random(0))


@pytest.mark.parametrize(("damage", "remedy"), [(truncate, "copy"), (flip_a_weight, "delete")])
def test_a_damaged_checkpoint_is_refused_and_both_remedies_end_in_the_same_run(damage, remedy, cut, done):
    config, run = cut
    last, best = run.folder / "last.ckpt", run.folder / "best.ckpt"
    damage(last)
    expected = f"{last} cannot be read as a checkpoint.*Delete it to train the run from the start, or copy {best} over"
    with pytest.raises(ValueError, match=expected):
        train.train(config)
    assert run.record["status"] == "failed"
    assert str(last) in run.record["error"]
    shutil.copy(best, last) if remedy == "copy" else last.unlink()
    train.train(config)
    assert_same_outcome(run.folder, done.folder)


def test_a_damaged_best_checkpoint_is_refused_before_it_costs_an_epoch(cut, monkeypatch):
    config, run = cut
    truncate(run.folder / "best.ckpt")
    monkeypatch.setattr("vae_hydra.training.module.VAEModule.training_step", refuse_to_train)
    with pytest.raises(ValueError, match=rf"best.ckpt cannot be read.*Delete {run.folder} to .*checkpoint=last"):
        train.train(config)


def test_commands_name_a_damaged_checkpoint(copied, run_command):
    flip_a_weight(copied.folder / "best.ckpt")
    for module, arguments in ((evaluate, [OPENED_ON]), (train, ["init_from", "seed=1", *SHORT])):
        source = f"init_from={copied.folder}" if "init_from" in arguments else f"run={copied.folder}"
        code, text = run_command(module, source, *[a for a in arguments if a != "init_from"])
        assert code == 2
        assert f"{copied.folder}/best.ckpt cannot be read as a checkpoint; it is damaged" in text
        assert "Traceback" not in text


def test_a_flipped_bit_of_exported_weights_is_refused_or_harmless(configure, tmp_path):
    """safetensors has no checksum of its own."""
    config = configure(*SMALL)
    experiment = build_experiment(config)
    experiment.module.description = describe(config, experiment.data)
    (tmp_path / "original").mkdir()
    write_weights(tmp_path / "original", experiment.module, (0.0, 1.0))
    write_config(tmp_path / "original", experiment.module.description["config"])
    expected, rng, reasons = weights_of(tmp_path / "original"), random.Random(0), []
    size = (tmp_path / "original" / WEIGHTS).stat().st_size
    for place in [*rng.sample(range(size), PLACES), *rng.sample(range(1000), PLACES)]:
        folder = shutil.copytree(tmp_path / "original", tmp_path / "damaged", dirs_exist_ok=True)
        flip(folder / WEIGHTS, place, rng)
        reasons.append(refusal(weights_of, folder, expected))
    refused = [reason for reason in reasons if reason is not None]
    assert len(refused) >= PLACES
    assert all(f"{folder / WEIGHTS} " in reason for reason in refused)


# Full disks.


@pytest.fixture
def small_disk(tmp_path):
    """A disk with 3 MB, of which a run with its two checkpoints needs 4; freed by ``mount -o remount``."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.fixture
def small_files():
    """No file may become larger than 1 MB, a checkpoint has 2: what a quota is like, and needs no other disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_recorded_and_the_run_goes_on_once_there_is_room(small_disk, run_command, tmp_path):
    command = (*SHORT, "trainer.max_epochs=2", f"output_dir={small_disk}")
    code, text = run_command(train, *command)
    assert code == 2
    assert text.count("no space is left on the disk. Make room, and start the same command again") == 1
    assert len(text.splitlines()) < 10
    (folder,) = small_disk.glob("digits-*")
    assert (Run(folder).record["status"], "no space is left" in Run(folder).record["error"]) == ("failed", True)
    assert not list(folder.glob(".*.tmp"))

    # Not a byte is free any more: the record is still written.
    with pytest.raises(OSError, match="No space left"):
        fill(small_disk)
    assert run_command(train, "-m", *command, "seed=0,1")[0] != 0

    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    (small_disk / "fill").unlink()
    assert run_command(train, *command)[0] == 0
    whole = train.train({**Run(folder).config, "output_dir": str(tmp_path / "whole")})
    assert Run(folder).metrics == whole


def test_a_disk_that_fills_up_during_training_is_recorded_in_the_space_of_the_record(small_disk, configure):
    config = configure(*SMALL, f"output_dir={small_disk}")
    run = Run.of(config)
    with pytest.raises(ValueError, match="no space is left on the disk"), run.writing(config):
        fill(small_disk)
    assert (run.record["status"], "no space is left" in run.record["error"]) == ("failed", True)


def test_a_sweep_on_a_disk_with_no_room_for_its_plan_says_so(small_disk, run_command):
    (small_disk / "fill").write_bytes(bytes(3 << 20))
    code, text = run_command(train, "-m", *SHORT, "seed=0,1", f"output_dir={small_disk}")
    assert code == 2
    assert "no space is left on the disk; free some" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("sweep", [(), ("-m", "seed=0,1")])
def test_files_that_may_not_grow_are_recorded(sweep, small_files, run_command, tmp_path):
    code, text = run_command(train, *sweep, *SHORT)
    assert code == (1 if sweep else 2), text
    assert "cannot be written: a file would be larger than is allowed there. Make room" in text
    assert "Traceback" not in text
    if sweep:
        assert "2 failed" in text
    for folder in tmp_path.glob("outputs/digits-*"):
        assert Run(folder).record["status"] == "failed"
        assert "larger than is allowed" in Run(folder).record["error"]


def test_a_sweep_says_why_a_run_failed_that_could_write_nothing(run_command, monkeypatch):
    class Full:
        def launch(self, jobs, initial_job_idx):
            return [JobReturn(status=JobStatus.FAILED, _return_value=OSError(28, "No space left")) for _ in jobs]

    monkeypatch.setattr(Plugins, "instantiate_launcher", lambda *arguments, **options: Full())
    code, text = run_command(train, "-m", *SHORT, "seed=0,1")
    assert code == 1
    assert "2 failed" in text
    assert text.count("OSError: [Errno 28] No space left") == 2


# A stranger's checkpoint.


def test_a_strangers_checkpoint_says_what_the_model_is_and_nothing_else(done, tmp_path):
    checkpoint = torch.load(done.folder / "best.ckpt", weights_only=True)
    theirs = checkpoint["vae_hydra"]["config"]
    places = {"root": "/theirs", "download": True}
    theirs |= {
        **dict.fromkeys(("output_dir", "logger", "threads", "trust", "keep_optimizer", "hydra", "other"), "/theirs"),
        "trainer": {"default_root_dir": "/theirs"},
        "callbacks": {"x": {"_target_": "vae_hydra.drawing.callback.Figures"}},
        "sampler": {**theirs["sampler"], "name": "theirs"},
        "seed": 7,
    }
    theirs["dataset"] |= {**places, "source": {**theirs["dataset"]["source"], **places}}
    path = tmp_path / "strange.ckpt"
    torch.save(checkpoint, path)
    typed = [f"init_from={path}"]
    with initialized(CONF):
        config = inherit(compose("train", typed), compose("train"), typed)
        ours = plain(compose("train"))
    assert (config["sampler"]["name"], config["seed"]) == ("theirs", 7)
    assert config["model"] == theirs["model"]
    assert "/theirs" not in json.dumps(config)
    assert config["dataset"]["download"] is config["dataset"]["source"]["download"] is False
    assert config.keys() == ours.keys()
    for group in ("output_dir", "trainer", "callbacks", "logger", "threads", "trust"):
        assert config[group] == ours[group]


# Damaged data and records.


def write_idx(path: Path, values: np.ndarray) -> None:
    path.write_bytes(bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes())


@pytest.fixture
def raw(tmp_path) -> Path:
    """A tiny MNIST: 6 and 4 images."""
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, size in (("train", 6), ("t10k", 4)):
        write_idx(folder / f"{part}-images-idx3-ubyte", rng.integers(0, 256, (size, 28, 28), dtype=np.uint8))
        write_idx(folder / f"{part}-labels-idx1-ubyte", rng.integers(0, 10, size, dtype=np.uint8))
    return folder


def test_a_tiny_mnist_is_read(raw, tmp_path):
    source = load_torchvision("MNIST", str(tmp_path), download=False)
    assert (source.train.x.shape, source.test.y.shape) == ((6, 1, 28, 28), (4,))


@pytest.mark.parametrize(
    ("name", "change", "defect"),
    [
        ("train-images-idx3", lambda x: b"\x1f\x8b" + x, "it is compressed with gzip; rename it"),
        ("t10k-labels-idx1", lambda x: b"\1" + x[1:], "it begins with the bytes 01000801 instead of"),
        ("train-labels-idx1", lambda x: b"", "it is empty"),
        ("train-images-idx3", lambda x: x[:6], "it is cut short within its header"),
        ("train-labels-idx1", lambda x: x[:-2], "it should hold 6 values (6), but holds 4"),
        (
            "t10k-images-idx3",
            lambda x: x[:-9],
            "it should hold 3,136 values (4 × 28 × 28), but holds 3,127",
        ),
        ("t10k-labels-idx1", lambda x: x[:7] + b"\3" + x[8:-1], "it has 3 labels for 4 images"),
        ("t10k-labels-idx1", lambda x: x[:7] + b"\0", "it holds no examples"),
    ],
)
def test_damaged_files_of_mnist_are_named_with_their_defect_and_the_remedy(name, change, defect, raw, tmp_path):
    path = raw / f"{name}-ubyte"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match="Get another copy of it") as refused:
        load_torchvision("MNIST", str(tmp_path), download=False)
    assert f"{path} is damaged: {defect}" in str(refused.value)


RECORDS = [
    *[("run.json", content) for content in (b"[]", b"null", b"\xff\xfe\0\x80", b"", b"[" * 100_000)],
    *[("metrics.json", content) for content in (b"[]", b"\x80", b'{"a": "b"}')],
    *[("config.yaml", content) for content in (b"", b"[", b"- 1", b"\x80", None)],
]


@pytest.mark.parametrize(("name", "content"), RECORDS, ids=lambda value: str(value)[:12])
def test_a_damaged_record_is_named_with_the_remedy(name, content, copied):
    path = copied.folder / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{path} is damaged \(.*delete {copied.record_path} and start the run's"):
        train.train(small_config(copied.folder.parent))


@pytest.mark.parametrize("name", ["run.json", "metrics.json", "config.yaml"])
def test_no_command_breaks_on_a_damaged_record_and_the_remedy_mends_it(name, copied, run_command):
    before = copied.metrics
    (copied.folder / name).write_bytes(b"[]")
    for module, arguments in ((evaluate, [OPENED_ON]), (info, ["layers=false"])):
        assert "Traceback" not in run_command(module, f"run={copied.folder}", *arguments)[1]
    copied.record_path.unlink()
    assert run_command(train, *SHORT, *SMALL)[0] == 0
    assert copied.metrics == before


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "epoch,a\n,1\n", "epoch,a\n0,1,2\n", "epoch\nx\n", "epoch\n\0\n"])
def test_a_history_of_other_columns_is_named_before_an_epoch_is_trained(content, cut, monkeypatch):
    config, run = cut
    (run.folder / "metrics.csv").write_text(content)
    monkeypatch.setattr("vae_hydra.training.module.VAEModule.training_step", refuse_to_train)
    with pytest.raises(ValueError, match=rf"{run.folder}/metrics.csv is damaged.*delete it"):
        train.train(config)


# What a process that was killed leaves.


def test_epochs_stay_whole_numbers_after_a_resume(tmp_path):
    path = tmp_path / "metrics.csv"
    History(path).record(0, {"train/loss": 1.5})
    History(path).record(1, {"train/loss": 0.5})
    assert path.read_text() == "epoch,train/loss\n0,1.5\n1,0.5\n"
    assert [row["epoch"] for row in read_epochs(path)] == [0, 1]
