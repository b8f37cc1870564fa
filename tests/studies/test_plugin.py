"""Hydra's plugin: it can be imported, a command sweeps with it, and help does not wait for torch because of it."""

from __future__ import annotations

import subprocess
import sys

from hydra import compose
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.utils import get_class

from tests.support.composing import CONF
from vae_hydra import train
from vae_hydra.base.hydra_versions import initialized
from vae_hydra.studies.sweep.register import register
from vae_hydra.studies.sweep.sweeper import GridSweeper


def test_the_option_grids_resolves_to_the_plugin():
    register()
    with initialized(CONF):
        config = compose("train", ["hydra/sweeper=grids"], return_hydra_config=True)
    sweeper = get_class(config.hydra.sweeper._target_)
    assert sweeper.__module__ == "hydra_plugins.vae_hydra"
    assert issubclass(sweeper, GridSweeper)
    assert sweeper in Plugins.instance().discover(Sweeper)


def test_a_command_sweeps_with_the_plugin(run_command, monkeypatch):
    seen = []
    monkeypatch.setattr(GridSweeper, "sweep", lambda self, arguments: seen.append((type(self), arguments)))
    assert run_command(train, "-m", "seed=0,1")[0] == 0
    assert [(kind.__module__, arguments) for kind, arguments in seen] == [("hydra_plugins.vae_hydra", ["seed=0,1"])]


def test_help_does_not_wait_for_torch():
    code = (
        "import sys; from vae_hydra.train import main; sys.argv = ['train', '--help']\n"
        "try: main()\nfinally: print([m for m in ('torch', 'lightning', 'pandas', 'optuna') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "sampler=" in result.stdout
    assert result.stdout.splitlines()[-1] == "[]"
