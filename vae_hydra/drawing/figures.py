"""Draw figures of saved runs: ``python -m vae_hydra.figures run=outputs/<run>``, or ``run=outputs`` for all there."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vae_hydra.base import checks
from vae_hydra.base.command.output import output_folder
from vae_hydra.base.command.process import prepare_torch
from vae_hydra.base.files import filling_folder, write_figure
from vae_hydra.drawing.panels import Subject, chosen, drawn
from vae_hydra.drawing.plots.clouds import PLANES
from vae_hydra.runs.folder import finished_runs
from vae_hydra.runs.saved import Saved, data_of, open_saved
from vae_hydra.training.history import read_epochs

log = logging.getLogger(__name__)


def figures(config: Mapping[str, Any]) -> list[Path]:
    """Draw figures of a saved run, or of every finished run in a folder, and return their files.

    Each run's figures go into its folder. The log says which do not apply to a run and why.

    Args:
        config: resolved configuration, as ``conf/figures.yaml`` composes it.

    Raises:
        ValueError: for an unknown figure, if no figure applies to this run, or if ``output`` holds a file already.
    """
    prepare_torch(config["threads"])
    names = chosen("show", config["show"])
    options = {
        "seed": None if config["seed"] is None else checks.seed("seed", config["seed"]),
        "samples": checks.positive_integer("samples", config["samples"]),
        "plane": checks.one_of("plane", config["plane"], PLANES),
    }
    runs = finished_runs(config["run"])
    if not runs:
        return _figures_of_run(config, names, options)
    if config["output"] is not None:
        raise ValueError(f"output={config['output']} is for one run, but run={config['run']} holds {len(runs)}")
    files = []
    for run in runs:
        try:
            files += _figures_of_run({**config, "run": str(run)}, names, options)
        except Exception as error:
            # The other runs are drawn all the same.
            log.debug("failed", exc_info=True)
            log.error("failed   %s: %s", run, error)
    return files


def _figures_of_run(config: Mapping[str, Any], names: Sequence[str], options: Mapping[str, Any]) -> list[Path]:
    saved = open_saved(config)
    run = saved.run.folder
    options = {**options, "seed": saved.module.seed if options["seed"] is None else options["seed"]}
    file_of = {name: f"{name}{_suffix(name, saved, options)}.png" for name in names}
    folder = output_folder(config["output"], run / "figures", list(file_of.values()))
    data = data_of(saved, config["dataset_root"])
    subject = Subject(saved.module, data, read_epochs(run / "metrics.csv"), run / "figures", **options)
    files, left_out = [], {}
    with filling_folder(folder) as new:
        for name, figure in drawn(subject, names):
            if isinstance(figure, str):
                left_out[name] = figure
            else:
                files.append(file_of[name])
                write_figure(figure, new / files[-1])
        _check_any(files, left_out)
    for file in files:
        log.info("figure   %s", folder / file)
    for name, reason in left_out.items():
        log.info("left out %s: %s", name, reason)
    return [folder / file for file in files]


def _suffix(name: str, saved: Saved, options: Mapping[str, Any]) -> str:
    """The end of a file's name: what differs from the figure that training draws, which stays as it is."""
    module, usual = saved.module, saved.run.checkpoint_path()
    parts = [
        f"-{saved.checkpoint.stem}" if saved.checkpoint != usual else "",
        f"-s{options['seed']}" if options["seed"] != module.seed else "",
        f"-{options['plane']}" if name == "latent_plane" and options["plane"] != PLANES[0] else "",
        f"-n{options['samples']}" if name == "prior_samples" and options["samples"] != Subject.samples else "",
    ]
    return "".join(parts)


def _check_any(files: Sequence[str], left_out: Mapping[str, str]) -> None:
    if not files:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise ValueError(f"none of the figures in show applies to this run: {reasons}")
