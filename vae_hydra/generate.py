"""Generate examples from a saved run: ``python -m vae_hydra.generate run=outputs/<run>``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from vae_hydra._moved import attributes_of
from vae_hydra.base.command import cli
from vae_hydra.base.command.functions import called_from_python, function_of
from vae_hydra.base.command.words import quoted
from vae_hydra.runs.resolve import composed_options

if TYPE_CHECKING:
    from vae_hydra.analysis.sample_files import Arrays

__getattr__ = attributes_of(__name__)


@function_of(__name__)
def generated_arrays(run: str | Path | os.PathLike[str], overrides: Sequence[str] = ()) -> Arrays:
    """Generate examples from a saved run and return them as NumPy arrays: ``x``, ``z`` and ``y``.

    They are the ones that the command writes with ``arrays=true``. Files are written only with ``output=FOLDER``.

    Args:
        run: its folder, or what ``vae_hydra.train`` or ``vae_hydra.open_run`` returned.
        overrides: options as on the command line, for example ``["n=100", "by=class_embedding", "class=3"]``.

    Raises:
        ValueError: if ``run`` is no run, if it cannot generate the request, or for options that do not exist.
    """
    with called_from_python():
        options = composed_options("generate", [f"run={quoted(os.fspath(run))}", *overrides])
        from vae_hydra.analysis.sample_files import generate_arrays

        return generate_arrays(options)


@cli.command("generate")
def main(config: DictConfig) -> None:
    """Generate from the run on the command line."""
    with cli.user_errors():
        options = cli.settings(config)
        from vae_hydra.analysis.sample_files import generate

        generate(options)


if __name__ == "__main__":
    main()
