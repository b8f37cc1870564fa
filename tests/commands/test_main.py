"""``vae-hydra`` and ``python -m vae_hydra`` list the commands and run them; versions; output that is cut off."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import vae_hydra
from tests.support.composing import REPOSITORY
from vae_hydra import __main__ as command

NAMES = sorted(command.commands())


def run(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=False)


def listed(monkeypatch, capsys, *words: str) -> str:
    monkeypatch.setattr(sys, "argv", ["vae-hydra", *words])
    command.main()
    return capsys.readouterr().out


@pytest.mark.parametrize("words", [(), ("--help",)])
def test_every_command_is_listed_with_its_purpose(words, capsys, monkeypatch):
    text = listed(monkeypatch, capsys, *words)
    files = {path.stem for path in Path(vae_hydra.__file__).parent.glob("[!_]*.py")}
    assert set(NAMES) == files
    assert len(files) == 13
    for name, purpose in command.commands().items():
        assert callable(import_module(f"vae_hydra.{name}").main)
        assert f"vae-hydra {name} " in text
        assert purpose in text
        assert len(purpose.split()) >= 3
    assert "--help" in text


def test_every_command_has_a_script():
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts.pop("vae-hydra") == "vae_hydra.__main__:main"
    assert scripts == {f"vae-hydra-{name}": f"vae_hydra.{name}:main" for name in NAMES}


def test_a_command_after_the_name_is_run_as_by_itself():
    both = [run("vae_hydra", "train", "seed=-1"), run("vae_hydra.train", "seed=-1")]
    assert [result.returncode for result in both] == [2, 2]
    assert both[0].stderr == both[1].stderr == "error: seed must be an integer ≥ 0, but got -1\n"


def test_a_command_that_does_not_exist_is_refused(capsys, monkeypatch):
    with pytest.raises(SystemExit) as stop:
        listed(monkeypatch, capsys, "traim")
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: there is no command traim; did you mean train?\n"


def test_the_list_does_not_wait_for_hydra():
    code = "import sys; sys.argv = ['']; from vae_hydra.__main__ import main; main(); print('hydra' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("name", NAMES)
def test_the_version_is_ours(name, run_command):
    assert run_command(import_module(f"vae_hydra.{name}"), "--version") == (0, f"vae_hydra {version('vae_hydra')}\n")


def test_the_version_of_the_list_is_ours(capsys, monkeypatch):
    assert listed(monkeypatch, capsys, "--version") == f"vae_hydra {version('vae_hydra')}\n"


@pytest.mark.parametrize(
    ("unbuffered", "words"),
    [("", ("vae_hydra",)), ("", ("vae_hydra.train", "--help")), ("1", ("vae_hydra", "report", "-h"))],
)
def test_output_that_nobody_reads_ends_without_a_traceback(unbuffered, words):
    reader, writer = os.pipe()
    os.close(reader)
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    result = subprocess.run(
        [sys.executable, "-m", *words], stdout=writer, stderr=subprocess.PIPE, text=True, env=environment, check=False
    )
    os.close(writer)
    assert (result.returncode, result.stderr) == (141, "")
