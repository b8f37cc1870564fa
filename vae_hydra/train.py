"""Train a VAE: ``python -m vae_hydra.train sampler=lognormal noise=uniform``."""

from __future__ import annotations

import logging

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vae_hydra._moved import attributes_of
from vae_hydra.base.command import cli
from vae_hydra.base.command.configuration import is_sweep, plain
from vae_hydra.runs.finished import finished_scores, refuse_early
from vae_hydra.runs.resolve import resolve
from vae_hydra.studies.sweep.register import register
from vae_hydra.studies.sweep.workers import end_with_parent

__getattr__ = attributes_of(__name__)
register()
log = logging.getLogger(__name__)


@cli.command("train")
def main(config: DictConfig) -> None:
    """Train the run of the command line, or report that it is done."""
    if is_sweep():
        end_with_parent()
    with cli.user_errors(output="output_dir"):
        hydra_config = HydraConfig.get()
        if not is_sweep():
            refuse_early(plain(config))
        options = resolve(config, hydra_config.overrides.task, hydra_config.runtime.choices)
        if not is_sweep():
            if finished_scores(options) is not None:
                return
            log.info("loading  torch and Lightning")
        from vae_hydra.runs.train import exit_when_interrupted, keep_errors, train

        with exit_when_interrupted(), keep_errors(options):
            if options["cells"] is None:
                train(options)
            else:
                from vae_hydra.runs.stack import train_cells

                train_cells(options["cells"])


if __name__ == "__main__":
    main()
