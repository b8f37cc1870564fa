"""Share a trained model: ``python -m vae_hydra.export run=outputs/<run>``."""

from __future__ import annotations

from omegaconf import DictConfig

from vae_hydra._moved import attributes_of
from vae_hydra.base.command import cli

__getattr__ = attributes_of(__name__)


@cli.command("export")
def main(config: DictConfig) -> None:
    """Export the run on the command line."""
    with cli.user_errors():
        options = cli.settings(config)
        from vae_hydra.runs.sharing.export import export

        export(options)


if __name__ == "__main__":
    main()
