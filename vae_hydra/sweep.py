"""Train every combination of options: ``python -m vae_hydra.sweep sampler=normal,lognormal seed=0,1,2``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import hydra

from vae_hydra._moved import attributes_of
from vae_hydra.base.command.configuration import hydra_in_use
from vae_hydra.base.command.functions import as_command_line, called_from_python, checked, function_of, is_several
from vae_hydra.base.command.output import check_output
from vae_hydra.runs.folder import Run
from vae_hydra.studies.sweep.plan import PLAN
from vae_hydra.train import main as train

if TYPE_CHECKING:
    import pandas as pd

__getattr__ = attributes_of(__name__)


@function_of(__name__)
def results_of_sweep(overrides: Sequence[str]) -> pd.DataFrame:
    """Train the runs of a sweep that are not done yet, and return the results of all as ``vae_hydra.results`` does.

    A run that fails is a row with its error; the others go on. The same overrides on the command line, after
    ``python -m vae_hydra.sweep``, name the same sweep and the same runs.

    Args:
        overrides: options as on the command line, for example ``["sampler=normal,lognormal", "seed=0,1,2"]``, or
            ``["sweep=coffee_break"]``.

    Raises:
        ValueError: for options that do not exist, or that no run of the sweep has.
        KeyboardInterrupt: on an interrupt, once the run is saved; the same call goes on from there.
    """
    words = checked(overrides)
    with called_from_python(), as_command_line("vae_hydra.train", ["-m", *words]):
        with hydra_in_use():
            once = [override for override in words if not is_several(override)]
            composed = hydra.compose("train", once, return_hydra_config=True)
            folder = Path(composed.hydra.sweep.dir).absolute()
        check_output(folder, f"output_dir={folder.parent.parent}")
        try:
            train()
        except SystemExit as stop:
            _raise_unless_ended(stop)
    from vae_hydra.studies.reporting import collect

    names = [cell["run"] for cell in json.loads((folder / PLAN).read_text(encoding="utf-8"))["cells"]]
    runs = [folder.parent.parent / name for name in names if name]
    return collect([folder, *(run for run in runs if Run(run).record)], with_debug=True).frame


def _raise_unless_ended(stop: SystemExit) -> None:
    """Raise the exit of a sweep, unless all its runs have ended, some of them with an error."""
    if stop.code == 130:
        raise KeyboardInterrupt("stopped; the same call goes on") from stop
    if stop.code not in (0, 1, None):
        raise stop


def main() -> None:
    """Train the runs of the command line's sweep."""
    if not {"-m", "--multirun", "--help", "-h", "--cfg", "-c", "--version"} & set(sys.argv[1:]):
        sys.argv = [sys.argv[0], "--multirun", *sys.argv[1:]]
    train()


if __name__ == "__main__":
    main()
