"""Score a saved run again: ``python -m vae_hydra.evaluate run=outputs/<run>``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from vae_hydra._moved import attributes_of
from vae_hydra.base.command import cli
from vae_hydra.base.command.functions import called_from_python, function_of
from vae_hydra.base.command.words import quoted
from vae_hydra.runs.resolve import composed_options

__getattr__ = attributes_of(__name__)


@function_of(__name__)
def scores_of_run(run: str | Path | os.PathLike[str], overrides: Sequence[str] = ()) -> dict[str, float]:
    """Score a saved run again and return the scores, which are also written to evaluations/ in its folder.

    Args:
        run: its folder, or what ``vae_hydra.train`` or ``vae_hydra.open_run`` returned.
        overrides: options as on the command line, for example ``["split=validation", "nll.samples=200"]``.

    Raises:
        ValueError: if ``run`` is no run, or for options that do not exist or cannot work.
    """
    with called_from_python():
        options = composed_options("evaluate", [f"run={quoted(os.fspath(run))}", *overrides])
        from vae_hydra.analysis.evaluation import evaluate

        return evaluate(options)


@cli.command("evaluate")
def main(config: DictConfig) -> None:
    """Score the run on the command line."""
    with cli.user_errors():
        options = cli.settings(config)
        from vae_hydra.analysis.evaluation import evaluate

        evaluate(options)


if __name__ == "__main__":
    main()
