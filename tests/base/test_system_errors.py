"""Full disks, read-only runs and a lack of memory: one line that says what to do, and nothing half-written."""

from __future__ import annotations

import errno
import importlib
import os
import resource
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.support.composing import composed
from tests.support.device import OPENED_ON, TRAINED_ON
from vae_hydra.base import files
from vae_hydra.base.command import cli
from vae_hydra.base.command.output import is_taken
from vae_hydra.base.system_errors import explained
from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import train

# What each command that takes a run is asked for, and a size that its largest file is beyond.
ASKED = {
    "evaluate": ((), 300),
    "ood": (("against=[pixels]", "limit=20"), 10_000),
    "generate": (("n=20", "arrays=true", "by=class_embedding", "images=true"), 10_000),
    "embed": ((), 10_000),
    "figures": (("show=[loss_curves]",), 5_000),
    "export": (("formats=[safetensors]",), 10_000),
}
NOBODY = 65534


@pytest.fixture(scope="module")
def place():
    """A folder with one trained run, which every user may enter: pytest's own are their owner's alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        options = ("trainer.max_epochs=1", TRAINED_ON, "callbacks.figures.enabled=false")
        config = composed(*options, "dataset.fraction=0.1", f"output_dir={folder / 'outputs'}")
        train(config)
        yield folder, Run.of(config).folder


@pytest.fixture
def command(run_command, place):
    """Run a command in the place of the run, within a context: command(name, context, *arguments)."""
    folder, run = place

    def call(name: str, context, *arguments: str) -> tuple[int, str]:
        module = importlib.import_module(f"vae_hydra.{name}")

        def main() -> None:
            os.chdir(folder)
            with context():
                module.main()

        given = () if name == "report" else (f"run={run}", OPENED_ON)
        # Hydra wants its flags first.
        return run_command(SimpleNamespace(__name__=name, main=main), *arguments, *given)

    return call


@contextmanager
def without_rights(folder: Path, writable: Path):
    """Be a user who may only read in ``folder``, and write into ``writable``."""
    every = [folder, *folder.rglob("*")]
    modes = {path: path.stat().st_mode for path in every}
    for path in every:
        path.chmod(0o555 if path.is_dir() else 0o444)
    writable.chmod(0o777)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        for path, mode in modes.items():
            path.chmod(mode)


@contextmanager
def no_file_beyond(size: int):
    """Let no file grow beyond ``size`` bytes, as on a disk that is full: the write fails half-way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def tree(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def is_one_line(text: str) -> bool:
    lines = [line for line in text.splitlines() if line.startswith("error: ")]
    return len(lines) == 1 and "Traceback" not in text and text.splitlines()[-1] == lines[0]


@pytest.mark.parametrize("name", ASKED)
def test_a_read_only_run_is_refused_at_once_and_output_writes_elsewhere(name, command, place):
    folder, run = place
    (folder / "elsewhere").mkdir(exist_ok=True)
    before = tree(run)

    def read_only():
        return without_rights(folder / "outputs", folder / "elsewhere")

    asked, _ = ASKED[name]
    code, text = command(name, read_only, *asked)
    assert (code, is_one_line(text)) == (2, True), text
    assert "cannot be written: permission is denied" in text
    assert "add output=FOLDER to write elsewhere" in text
    output = folder / "elsewhere" / name
    code, text = command(name, read_only, *asked, f"output={output}")
    assert code == 0, text
    assert any(path.is_file() for path in output.rglob("*"))
    assert tree(run) == before


@pytest.mark.parametrize("name", ASKED)
def test_a_full_disk_leaves_nothing_and_does_not_block_the_retry(name, command, place):
    folder, _ = place
    asked, size = ASKED[name]
    before, output = tree(folder), f"output={folder / 'new' / name}"
    code, text = command(name, lambda: no_file_beyond(size), *asked, output)
    assert (code, is_one_line(text)) == (2, True), text
    assert f"new/{name}" in text
    assert ".tmp" not in text
    assert "a file would be larger than is allowed there" in text
    assert tree(folder) == before
    code, text = command(name, lambda: no_file_beyond(10**9), *asked, output)
    assert code == 0, text
    shutil.rmtree(folder / "new")


def test_a_full_disk_leaves_the_last_report_whole(command, place):
    folder, run = place
    arguments = (str(run.parent), f"output={folder / 'report'}")
    assert command("report", lambda: no_file_beyond(10**9), *arguments)[0] == 0
    before = tree(folder)
    code, text = command("report", lambda: no_file_beyond(20_000), *arguments)
    assert (code, is_one_line(text)) == (2, True), text
    assert tree(folder) == before


def test_a_sweep_that_cannot_be_written_says_so(command, place):
    folder, _ = place
    (folder / "file").write_text("in the way")
    code, text = command("evaluate", lambda: no_file_beyond(10**9), "-m", "hydra.sweep.dir=file/inside")
    assert (code, is_one_line(text)) == (2, True), text
    assert "hydra.sweep.dir cannot be written: not a directory" in text


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "x", "a/b"), "a/b: no space is left on the disk; free some, or add output=FOLDER"),
        (OSError(errno.EDQUOT, "x", "a"), "a: the disk quota is used up"),
        (OSError(errno.EROFS, "x", "a"), "a: the file system is read-only; add output=FOLDER to write elsewhere"),
        (PermissionError(errno.EACCES, "x", "a"), "a: permission is denied; check who may read and write it, or add"),
        (OSError(errno.EMFILE, "x", "a"), "a: too many files are open; raise the limit with ulimit -n"),
        (FileNotFoundError(errno.ENOENT, "No such file", "a"), "a: no such file; check the path, or add output=FOLDER"),
        (OSError(errno.ENOSPC, "x"), "no space is left on the disk"),
        (MemoryError(), "there is not enough memory (MemoryError); ask for fewer"),
        (OSError("a library's own"), None),
        (RuntimeError("a mistake"), None),
    ],
)
def test_words_for_errors_of_the_machine(error, expected):
    text = explained(error, "output")
    assert text is None if expected is None else text.startswith(expected)


@pytest.mark.parametrize("allocate", [lambda: np.empty(2**45), lambda: torch.empty(2**45)])
def test_memory_that_there_is_not_is_a_users_error(allocate, capsys):
    with pytest.raises(SystemExit) as stop, cli.user_errors():
        allocate()
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("error: there is not enough memory (")


def test_files_that_are_filled_in_keep_what_is_there(tmp_path):
    folder = tmp_path / "a" / "b"
    with pytest.raises(FileNotFoundError, match="b'$"), files.filling_folder(folder) as new:
        shutil.copy(__file__, new) and (new / "nowhere" / "file").write_text("")
    assert not list(tmp_path.iterdir())
    for text in ("one", "two"):
        with files.filling_folder(folder) as new:
            (new / "inside").mkdir()
            (new / "inside" / text).write_text(text)
    assert sorted(path.name for path in folder.rglob("*")) == ["inside", "one", "two"]


def test_what_a_killed_process_left_does_not_block_a_folder(tmp_path):
    (tmp_path / ".new.host.123.new").mkdir()
    assert not is_taken(tmp_path)
    (tmp_path / "mine").mkdir()
    assert is_taken(tmp_path)
