"""Describe a saved run: ``python -m vae_hydra.info run=outputs/<run>``."""

from __future__ import annotations

from omegaconf import DictConfig

from vae_hydra._moved import attributes_of
from vae_hydra.base.command import cli

__getattr__ = attributes_of(__name__)


@cli.command("info")
def main(config: DictConfig) -> None:
    """Describe the run on the command line."""
    with cli.user_errors(output=None):
        options = cli.settings(config)
        from vae_hydra.analysis.info import info

        print(info(options), flush=True)


if __name__ == "__main__":
    main()
