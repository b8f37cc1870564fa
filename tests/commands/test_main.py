"""``python -m vae_hydra`` lists the commands."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest

import vae_hydra
from vae_hydra import __main__ as listing


def test_every_command_is_listed_with_its_purpose(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["vae_hydra", "--help"])
    listing.main()
    text = capsys.readouterr().out
    files = {path.stem for path in Path(vae_hydra.__file__).parent.glob("[!_]*.py")}
    assert listing.commands().keys() == files
    assert len(files) == 11
    for name, purpose in listing.commands().items():
        assert callable(import_module(f"vae_hydra.{name}").main)
        assert f"vae_hydra.{name} " in text
        assert purpose in text
        assert len(purpose.split()) >= 3
    assert "--help" in text


@pytest.mark.parametrize(("word", "command"), [("train", "vae_hydra.train"), ("nothing", "vae_hydra.COMMAND")])
def test_a_command_without_a_dot_is_refused(word, command, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["vae_hydra", word])
    with pytest.raises(SystemExit) as stop:
        listing.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"error: start a command with a dot: python -m {command}\n"
