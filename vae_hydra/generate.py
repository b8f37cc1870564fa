"""Generate examples from a saved run: ``python -m vae_hydra.generate run=outputs/<run>``."""

from __future__ import annotations

from omegaconf import DictConfig

from vae_hydra._moved import attributes_of
from vae_hydra.base.command import cli

__getattr__ = attributes_of(__name__)


@cli.command("generate")
def main(config: DictConfig) -> None:
    """Generate from the run on the command line."""
    with cli.user_errors():
        options = cli.settings(config)
        from vae_hydra.analysis.sample_files import generate

        generate(options)


if __name__ == "__main__":
    main()
