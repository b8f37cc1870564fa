"""Score a saved run again: ``python -m vae_hydra.evaluate run=outputs/<run>``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import hydra
from omegaconf import DictConfig

from vae_hydra import cli

# By name, because run as a command this module is called __main__.
log = logging.getLogger("vae_hydra.evaluate")


@hydra.main(version_base="1.3", config_path=cli.prepare(), config_name="evaluate")
def main(config: DictConfig) -> None:
    """Score the run that the command line names."""
    with cli.user_errors():
        evaluate(cli.plain(config))


def evaluate(config: Mapping[str, Any]) -> dict[str, float]:
    """Score a run on a split, print the table, and keep it under evaluations/ of the run's folder.

    Args:
        config: resolved configuration, as ``conf/evaluate.yaml`` composes it.

    Raises:
        ValueError: if ``run`` is no run, or its checkpoint cannot be rebuilt.
    """
    from vae_hydra.build import build_data, build_evaluation_trainer, build_noise, rebuild
    from vae_hydra.files import write_json
    from vae_hydra.run import Run, identity, read_checkpoint
    from vae_hydra.scores import score, table

    cli.prepare_torch(config["threads"])
    run = Run.open(config["run"])
    path = run.checkpoint_path(config["checkpoint"])
    checkpoint = read_checkpoint(path)
    noises = [build_noise(config)] if "noise" in config else None
    module = rebuild(checkpoint, config["trust"], noises)
    # A checkpoint from someone else must not make us fetch things.
    location = (
        {"download": False} if config["dataset_root"] is None else {"download": False, "root": config["dataset_root"]}
    )
    data = build_data(module.description["config"], **location)
    metrics = score(build_evaluation_trainer(config["accelerator"]), module, data, config["split"])
    request = {"checkpoint": path.stem, "split": config["split"], "noise": config.get("noise")}
    names = [path.stem, config["split"], *(f"{noise.name}-{identity(request)}" for noise in noises or [])]
    target = run.folder / "evaluations" / f"{'-'.join(names)}.json"
    target.parent.mkdir(exist_ok=True)
    write_json(target, {**request, "scores": metrics})
    log.info("%s, %s split\n%s\nwritten to %s", path, config["split"], table(metrics), target)
    return metrics


if __name__ == "__main__":
    main()
