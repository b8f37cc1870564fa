"""The body of ``python -m vae_hydra.evaluate``: score a saved run again."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from vae_hydra.analysis import measures
from vae_hydra.analysis.image_classifier import KeptClassifier, can_be_recognised, classifier_of_run
from vae_hydra.base import checks
from vae_hydra.base.command.output import output_folder
from vae_hydra.base.command.process import prepare_torch
from vae_hydra.base.files import filling_folder, write_json
from vae_hydra.data.datamodule import DataModule
from vae_hydra.runs.build import build_noise
from vae_hydra.runs.identity import identity
from vae_hydra.runs.reading import LATER_GENERATION
from vae_hydra.runs.saved import Saved, data_of, open_saved
from vae_hydra.runs.score_table import table
from vae_hydra.runs.scores import score
from vae_hydra.runs.trainer import build_evaluation_trainer
from vae_hydra.training.module import VAEModule

log = logging.getLogger(__name__)


def evaluate(config: Mapping[str, Any]) -> dict[str, float]:
    """Score a run on a split, print the table, and write it to evaluations/ of the run's folder, or to ``output``.

    Args:
        config: resolved configuration, as composed from ``conf/evaluate.yaml``.

    Raises:
        ValueError: if ``run`` is no run, its checkpoint cannot be rebuilt, or ``output`` has this evaluation already.
    """
    prepare_torch(config["threads"])
    request = _request(config)
    noises = [build_noise(config)] if "noise" in config else None
    saved = open_saved(config, test_noises=noises, others=request["noises"])
    run, path, module = saved.run, saved.checkpoint, saved.module
    file = f"{_file_stem(path.stem, request)}.json"
    folder = output_folder(config["output"], run.folder / "evaluations", [file])
    data = data_of(saved, config["dataset_root"])
    measures.check_request(
        module, data, request["nll"]["samples"], request["generation"]["samples"], request["latents"]
    )
    trainer = build_evaluation_trainer(config["accelerator"])
    metrics = score(trainer, module, data, config["split"])
    module.to(trainer.strategy.root_device)
    classifier = _classifier(saved, data, request["generation"], config["output"])
    metrics |= _requested_measures(module, data, request, classifier)
    record = {"checkpoint": path.stem, **request}
    if classifier:
        record["classifier"] = {"name": classifier.name, "sha256": classifier.record["sha256"]}
    with filling_folder(folder) as new:
        write_json(new / file, {**record, "scores": metrics})
    log.info("%s, %s split\n%s\nwritten to %s", path, config["split"], table(metrics), folder / file)
    return metrics


def _request(config: Mapping[str, Any]) -> dict[str, Any]:
    """The options that decide what is scored, checked."""
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
        "generation": _generation_request(generation),
        "latents": checks.boolean("latents", config["latents"]),
    }


def _generation_request(options: Mapping[str, Any]) -> dict[str, Any]:
    threshold = options["tail_threshold"]
    return {
        "samples": checks.non_negative_integer("generation.samples", options["samples"]),
        "permutations": checks.positive_integer("generation.permutations", options["permutations"]),
        "features": checks.boolean("generation.features", options["features"]),
        "kernel_examples": checks.integer("generation.kernel_examples", options["kernel_examples"], minimum=20),
        "tail_level": checks.share("generation.tail_level", options["tail_level"]),
        "tail_threshold": None if threshold is None else checks.positive("generation.tail_threshold", threshold),
    }


def _classifier(
    saved: Saved, data: DataModule, generation: Mapping[str, Any], output: str | None
) -> KeptClassifier | None:
    """The classifier for FID and KID; None if they are not requested, or the data are not images of several classes."""
    if not (generation["samples"] and generation["features"] and can_be_recognised(data)):
        return None
    return classifier_of_run(saved.run, saved.module, data, output)


def _requested_measures(
    module: VAEModule, data: DataModule, request: Mapping[str, Any], classifier: KeptClassifier | None
) -> dict[str, float]:
    split, generation = request["split"], request["generation"]
    metrics: dict[str, float] = {}
    if request["nll"]["samples"]:
        metrics |= measures.marginal_likelihood(module, data, split, **request["nll"])
    if generation["samples"]:
        model = classifier.model if classifier else None
        options = {name: value for name, value in generation.items() if name != "features"}
        metrics |= measures.generation(module, data, split, **options, classifier=model)
    if classifier:
        metrics["generation/classifier_accuracy"] = classifier.record["test_accuracy"]
    if request["latents"]:
        metrics |= measures.latents(module, data, split)
    return metrics


def _file_stem(checkpoint: str, request: Mapping[str, Any]) -> str:
    """Name of an evaluation's file without its ending; different requests have different names."""
    names = [checkpoint, request["split"]]
    noise, noises = request["noise"], request["noises"]
    names += [f"{noise['name']}-{identity({'noise': noise})}"] if noise else []
    names += [f"noises-{identity({'noises': noises})}"] if noises else []
    names += [f"nll{request['nll']['samples']}"] if request["nll"]["samples"] else []
    names += _generation_names(request["generation"]) if request["generation"]["samples"] else []
    names += ["latents"] if request["latents"] else []
    return "-".join(names)


def _generation_names(options: Mapping[str, Any]) -> list[str]:
    """Parts of an evaluation's name; an option at its default adds none."""
    names = [f"generation{options['samples']}x{options['permutations']}"]
    names += [] if options["features"] else ["without_features"]
    words = {"kernel_examples": "kernel", "tail_level": "tail", "tail_threshold": "beyond"}
    names += [f"{word}{options[name]}" for name, word in words.items() if options[name] != LATER_GENERATION[name]]
    return names
