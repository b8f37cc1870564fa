"""Share a trained model: ``python -m vae_hydra.export run=outputs/<run>``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from vae_hydra._moved import attributes_of
from vae_hydra.base.command import cli
from vae_hydra.base.command.functions import called_from_python
from vae_hydra.base.command.words import quoted
from vae_hydra.runs.resolve import composed_options

__getattr__ = attributes_of(__name__)


def uploaded(run: str | os.PathLike[str], repository: str, overrides: Sequence[str] = (), private: bool = False) -> str:
    """Export a run and upload it; arguments, result and errors as for ``vae_hydra.push_to_hub``."""
    with called_from_python(), tempfile.TemporaryDirectory() as place:
        from vae_hydra.runs.sharing import hub
        from vae_hydra.runs.sharing.export import export

        hub.check_repository(repository)
        output = Path(place) / Path(run).expanduser().absolute().name
        words = [f"run={quoted(os.fspath(run))}", f"output={quoted(str(output))}", *overrides]
        return hub.upload(export(composed_options("export", words)), repository, private)


@cli.command("export")
def main(config: DictConfig) -> None:
    """Export the run on the command line."""
    with cli.user_errors():
        options = cli.settings(config)
        from vae_hydra.runs.sharing.export import export

        export(options)


if __name__ == "__main__":
    main()
