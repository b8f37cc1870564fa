"""Score a saved run again: ``python -m vae_hydra.evaluate run=outputs/<run>``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vae_hydra.base.command.output import output_folder
from vae_hydra.base.command.process import prepare_torch

if TYPE_CHECKING:
    from vae_hydra.analysis.image_classifier import KeptClassifier
    from vae_hydra.data.datamodule import DataModule
    from vae_hydra.runs.saved import Saved
    from vae_hydra.training.module import VAEModule

log = logging.getLogger(__name__)


def evaluate(config: Mapping[str, Any]) -> dict[str, float]:
    """Score a run on a split, print the table, and keep it under evaluations/ of the run's folder, or in ``output``.

    Args:
        config: resolved configuration, as ``conf/evaluate.yaml`` composes it.

    Raises:
        ValueError: if ``run`` is no run, its checkpoint cannot be rebuilt, or ``output`` has this evaluation already.
    """
    from vae_hydra.analysis.measures import check_request
    from vae_hydra.base.files import filling_folder, write_json
    from vae_hydra.runs.build import build_noise
    from vae_hydra.runs.saved import data_of, open_saved
    from vae_hydra.runs.score_table import table
    from vae_hydra.runs.scores import score
    from vae_hydra.runs.trainer import build_evaluation_trainer

    prepare_torch(config["threads"])
    request = _request(config)
    noises = [build_noise(config)] if "noise" in config else None
    saved = open_saved(config, test_noises=noises, others=request["noises"])
    run, path, module = saved
    file = f"{_name(path.stem, request)}.json"
    folder = output_folder(config["output"], run.folder / "evaluations", [file])
    data = data_of(saved, config["dataset_root"])
    sizes = (request["nll"]["samples"], request["generation"]["samples"], request["latents"])
    check_request(module, data, *sizes)
    trainer = build_evaluation_trainer(config["accelerator"])
    metrics = score(trainer, module, data, config["split"])
    module.to(trainer.strategy.root_device)
    kept = _classifier(saved, data, request["generation"], config["output"])
    metrics |= _on_request(module, data, request, kept)
    recognised_by = {"classifier": {"name": kept.name, "sha256": kept.record["sha256"]}} if kept else {}
    with filling_folder(folder) as new:
        write_json(new / file, {"checkpoint": path.stem, **request, **recognised_by, "scores": metrics})
    log.info("%s, %s split\n%s\nwritten to %s", path, config["split"], table(metrics), folder / file)
    return metrics


def _request(config: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked for, checked."""
    from vae_hydra.base import checks

    if config["noises"] is not None:
        checks.one_of("noises", config["noises"], ["all"])
        if "noise" in config:
            raise ValueError("noise names one noise to test with, noises=all every one; leave one of them out")
    nll, generation = checks.group("nll", config["nll"]), checks.group("generation", config["generation"])
    return {
        "split": config["split"],
        "noise": config.get("noise"),
        "noises": None if config["noises"] is None else config["test_noises"],
        "nll": {"samples": checks.non_negative_integer("nll.samples", nll["samples"])},
        "generation": {
            "samples": checks.non_negative_integer("generation.samples", generation["samples"]),
            "permutations": checks.positive_integer("generation.permutations", generation["permutations"]),
            "features": checks.boolean("generation.features", generation["features"]),
        },
        "latents": checks.boolean("latents", config["latents"]),
    }


def _classifier(
    saved: Saved, data: DataModule, generation: Mapping[str, Any], output: str | None
) -> KeptClassifier | None:
    """The classifier that FID and KID are by, if they are asked for and the data are images of several classes."""
    from vae_hydra.analysis.image_classifier import beside, can_be_recognised

    if not (generation["samples"] and generation["features"] and can_be_recognised(data)):
        return None
    return beside(saved.run, saved.module, data, output)


def _on_request(
    module: VAEModule, data: DataModule, request: Mapping[str, Any], kept: KeptClassifier | None
) -> dict[str, float]:
    from vae_hydra.analysis import measures

    metrics: dict[str, float] = {}
    if request["nll"]["samples"]:
        metrics |= measures.marginal_likelihood(module, data, request["split"], **request["nll"])
    samples, permutations = request["generation"]["samples"], request["generation"]["permutations"]
    if samples:
        classifier = kept.model if kept else None
        metrics |= measures.generation(module, data, request["split"], samples, permutations, classifier)
    if kept:
        metrics["generation/classifier_accuracy"] = kept.record["test_accuracy"]
    if request["latents"]:
        metrics |= measures.latents(module, data, request["split"])
    return metrics


def _name(checkpoint: str, request: Mapping[str, Any]) -> str:
    """What the file of an evaluation is called: requests that differ have files that differ."""
    from vae_hydra.runs.identity import identity

    names = [checkpoint, request["split"]]
    noise, noises = request["noise"], request["noises"]
    names += [f"{noise['name']}-{identity({'noise': noise})}"] if noise else []
    names += [f"noises-{identity({'noise': noises})}"] if noises else []
    names += [f"nll{request['nll']['samples']}"] if request["nll"]["samples"] else []
    generation = request["generation"]
    names += [f"generation{generation['samples']}x{generation['permutations']}"] if generation["samples"] else []
    names += ["without_features"] if generation["samples"] and not generation["features"] else []
    names += ["latents"] if request["latents"] else []
    return "-".join(names)
