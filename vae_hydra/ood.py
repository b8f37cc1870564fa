"""Measure how well a saved run tells outliers from its own data: ``python -m vae_hydra.ood run=outputs/<run>``."""

from __future__ import annotations

from omegaconf import DictConfig

from vae_hydra._moved import attributes_of
from vae_hydra.base.command import cli

__getattr__ = attributes_of(__name__)


@cli.command("ood")
def main(config: DictConfig) -> None:
    """Score outliers with the run on the command line."""
    with cli.user_errors():
        options = cli.settings(config)
        from vae_hydra.analysis.outliers.command import ood

        ood(options)


if __name__ == "__main__":
    main()
