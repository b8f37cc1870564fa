"""Make tables, figures and a page of finished runs: ``python -m vae_hydra.report outputs``."""

from __future__ import annotations

import sys

from omegaconf import DictConfig

from vae_hydra._moved import attributes_of
from vae_hydra.base import hydra_versions
from vae_hydra.base.command import cli
from vae_hydra.base.command.words import folders_first

__getattr__ = attributes_of(__name__)


@cli.typed_in_any_order
def main() -> None:
    """Report on the folders on the command line."""
    with cli.user_errors():
        sys.argv = [sys.argv[0], *folders_first(sys.argv[1:])]
    _main()


@hydra_versions.main(cli.prepare(), "report")
def _main(config: DictConfig) -> None:
    with cli.user_errors():
        options = cli.settings(config)
        from vae_hydra.studies.reporting.command import report

        report(options)


if __name__ == "__main__":
    main()
