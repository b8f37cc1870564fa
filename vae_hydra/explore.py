"""Explore a saved run in the browser: ``python -m vae_hydra.explore run=outputs/<run>``."""

from __future__ import annotations

from omegaconf import DictConfig

from vae_hydra._moved import attributes_of
from vae_hydra.base.command import cli

__getattr__ = attributes_of(__name__)


@cli.command("explore")
def main(config: DictConfig) -> None:
    """Serve a page for the run on the command line."""
    with cli.user_errors(output=None):
        options = cli.settings(config)
        from vae_hydra.drawing.page.explore import explore

        explore(options)


if __name__ == "__main__":
    main()
