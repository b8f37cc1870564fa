"""Train a VAE: ``python -m vae_hydra.train sampler=lognormal noise=uniform``, or ``vae_hydra.train([…])`` in Python."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vae_hydra._moved import attributes_of
from vae_hydra.base.command import cli
from vae_hydra.base.command.configuration import is_sweep, plain
from vae_hydra.base.command.functions import called_from_python, checked, function_of, is_several
from vae_hydra.runs.finished import finished_scores, refuse_early
from vae_hydra.runs.folder import Run
from vae_hydra.runs.resolve import composed_options, resolve
from vae_hydra.studies.sweep.register import register
from vae_hydra.studies.sweep.workers import end_with_parent

__getattr__ = attributes_of(__name__)
register()
log = logging.getLogger(__name__)


@function_of(__name__)
def trained_run(overrides: Sequence[str] = ()) -> Run:
    """Train one run, or go on with it, and return it; a finished run is returned at once.

    The run has ``folder``, ``metrics`` (the test scores), ``config``, ``record`` and ``epochs`` (a row an epoch).

    Args:
        overrides: options as on the command line of ``python -m vae_hydra.train``, for example
            ``["sampler=lognormal", "trainer.max_epochs=20"]``.

    Raises:
        ValueError: for options that do not exist or cannot work.
        KeyboardInterrupt: on an interrupt, once last.ckpt is written; the same call goes on from there.
    """
    with called_from_python():
        several = [override for override in checked(overrides) if is_several(override)]
        if several:
            raise ValueError(f"{several[0]} asks for several runs; use vae_hydra.sweep")
        options = composed_options("train", overrides)
        from vae_hydra.runs.train import train
        from vae_hydra.training.callbacks.guards import Interrupted

        try:
            train(options)
        except Interrupted as interrupt:
            raise KeyboardInterrupt(f"stopped by {interrupt}; the same call goes on") from interrupt
        return Run.open(Run.of(options).folder.absolute())


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
            if options["stack"] != 1 and options["cells"] is None:
                log.warning("stack=%s is for the runs of a sweep: add -m; this run is trained alone", options["stack"])
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
