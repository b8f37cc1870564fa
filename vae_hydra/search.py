"""Search for good options: ``python -m vae_hydra.search search=digits trials=30``."""

from __future__ import annotations

import importlib.util
import sys

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vae_hydra._moved import attributes_of
from vae_hydra.base import hydra_versions
from vae_hydra.base.command import cli
from vae_hydra.studies.sweep.register import register

__getattr__ = attributes_of(__name__)
register()


@cli.typed_in_any_order
def main() -> None:
    """Start the search of the command line, or go on with it."""
    with cli.user_errors(output="output_dir"):
        if any(word in ("-m", "--multirun") or word.startswith("sweep=") for word in sys.argv[1:]):
            raise ValueError("a search is one command, which plans its runs itself: leave out -m and sweep=…")
        if importlib.util.find_spec("optuna") is None:
            raise ValueError("a search needs Optuna: pip install 'vae_hydra[search]'")
    _main()


@hydra_versions.main(cli.prepare(), "search")
def _main(config: DictConfig) -> None:
    with cli.user_errors(output="output_dir"):
        options = cli.settings(config)
        from vae_hydra.runs.train import exit_when_interrupted
        from vae_hydra.studies.search.search import search

        with exit_when_interrupted():
            search(options, HydraConfig.get().overrides.task)


if __name__ == "__main__":
    main()
