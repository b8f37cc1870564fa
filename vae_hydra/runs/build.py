"""Configuration → model, data and trainer: the one place that derives sizes and wires parts."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from vae_hydra.base import checks
from vae_hydra.data.datamodule import DataModule
from vae_hydra.data.noise import Noise
from vae_hydra.data.noise_nodes import nodes_to_test
from vae_hydra.model.condition import Condition
from vae_hydra.model.vae import VAE
from vae_hydra.runs.compatibility import (
    check_enough_examples,
    check_free_bits,
    check_kl_exists,
    check_likelihood_fits,
    check_optimizer_options,
    check_scheduler_options,
)
from vae_hydra.runs.nodes import Config, make, naming, node_at
from vae_hydra.training.module import VAEModule
from vae_hydra.training.objective import Objective

# How a model was run rather than what it is: not stored in its checkpoints.
NOT_IN_CHECKPOINT = ("callbacks", "logger", "trainer", "output_dir")


class Experiment(NamedTuple):
    """A module and its data, ready for a trainer."""

    module: VAEModule
    data: DataModule


def build_experiment(config: Config, data: DataModule | None = None) -> Experiment:
    """Build and check everything that ``config`` describes short of the trainer; ``data`` if they are built already.

    Raises:
        ValueError: for anything in ``config`` that cannot work, before a file is written.
    """
    seed = checks.seed("seed", config["seed"])
    check_optimizer_options(node_at(config, "optimizer"))
    check_scheduler_options(config["scheduler"] or {})
    data = build_data(config) if data is None else data
    check_enough_examples(data)
    # The weights' initial values: a function of the seed alone.
    torch.manual_seed(seed)
    description = describe(config, data)
    noise = build_noise(config)
    vae = build_vae(config, data.x_shape, noise, data.classes)
    module = _module(config, vae, noise, description, build_test_noises(config), data)
    check_likelihood_fits(module, data)
    check_kl_exists(vae)
    check_free_bits(module)
    with naming("optimizer and scheduler"):
        module.configure_optimizers()
    return Experiment(module, data)


def build_data(config: Config, **source: Any) -> DataModule:
    """The DataModule of ``config.dataset``; ``source`` overrides where its files are and whether to download them."""
    given = node_at(config, "dataset.source")
    options = without_short_names(node_at(config, "dataset"))
    options["source"] = {**given, **{key: value for key, value in source.items() if key in given}}
    return make("dataset", options, order_seed=config["seed"], labelled=_of_classifier(config, "labelled"))


def without_short_names(dataset: Config) -> dict[str, Any]:
    """The options of a dataset except its short names for options of its source, which are not the DataModule's."""
    arguments = inspect.signature(DataModule).parameters
    short_names = dataset["source"].keys() - arguments.keys() - {"_target_"}
    return {key: value for key, value in dataset.items() if key not in short_names}


def build_noise(config: Config) -> Noise:
    """The noise of ``config.noise``, which keeps its name."""
    return make("noise", node_at(config, "noise"))


def build_test_noises(config: Config) -> list[Noise]:
    """The noises of ``config`` that a run denoises in its test: its own first, then those of ``config.test_noises``.

    Raises:
        ValueError: for two of ``config.test_noises`` that share a name, or anything that is no noise.
    """
    own = node_at(config, "noise")
    nodes = nodes_to_test(own, config.get("test_noises"))
    return [make("noise" if node is own else f"test_noises.{name}", node) for name, node in nodes.items()]


def build_vae(config: Config, x_shape: Sequence[int], noise: Noise, classes: int) -> VAE:
    """The VAE of ``config`` for examples of ``x_shape`` in ``classes`` under ``noise``, with freshly drawn weights.

    The encoder's width out is sampler.parameters_per_latent · latent_dim; its input has the extra
    channels of stacked noise and of labels. The decoder's first axis out is likelihood.parameters_per_value times x's.
    """
    model = node_at(config, "model")
    latent_dim = checks.positive_integer("model.latent_dim", model.get("latent_dim"))
    sampler = make("sampler", node_at(config, "sampler"))
    likelihood = make("likelihood", node_at(config, "likelihood"), x_shape=list(x_shape))
    condition = _condition(config, classes)
    in_shape, z_values = noise.input_shape(x_shape), latent_dim
    if condition is not None:
        in_shape, z_values = condition.input_shape(in_shape), condition.latent_values(latent_dim)
    features = sampler.parameters_per_latent * latent_dim
    out_shape = [likelihood.parameters_per_value * x_shape[0], *x_shape[1:]]
    encoder = make("model.encoder", node_at(config, "model.encoder"), in_shape=list(in_shape), out_features=features)
    decoder = make("model.decoder", node_at(config, "model.decoder"), in_features=z_values, out_shape=out_shape)
    classifier = _classifier(config, latent_dim, classes)
    return VAE(encoder, sampler, decoder, likelihood, latent_dim, x_shape, condition, classifier)


def _condition(config: Config, classes: int) -> Condition | None:
    # Runs from before there were conditions have no such node.
    node = config.get("condition")
    return make("condition", node, classes=classes) if node else None


def _classifier(config: Config, latent_dim: int, classes: int) -> nn.Module | None:
    if not config.get("classifier"):
        return None
    if classes < 2:
        raise ValueError(
            f"classifier needs data with two classes or more, but these have {classes}; use classifier=none"
        )
    if config.get("condition"):
        raise ValueError(
            "classifier and condition do not go together: a head would read off z the label that the encoder was "
            "given; use condition=none or classifier=none"
        )
    return make("classifier.head", node_at(config, "classifier.head"), in_shape=[latent_dim], out_features=classes)


def describe(config: Config, data: DataModule) -> dict[str, Any]:
    """What a checkpoint holds besides tensors: enough to rebuild the model and show what it generates without data."""
    kept = {key: value for key, value in config.items() if key not in NOT_IN_CHECKPOINT}
    return {
        "config": kept,
        "x_shape": list(data.x_shape),
        "classes": data.classes,
        "value_range": list(data.value_range()),
    }


def _module(
    config: Config,
    vae: VAE,
    noise: Noise,
    description: Mapping[str, Any],
    test_noises: Sequence[Noise],
    data: DataModule | None = None,
) -> VAEModule:
    """The module, which can be trained if its ``data`` are given."""
    trainable = data is not None
    shares = {}
    if data is not None:
        shares = {"train_labelled": data.train_labelled, "validation_labelled": data.validation_labelled}
    return VAEModule(
        vae,
        noise,
        beta=make("beta", node_at(config, "beta")),
        objective=_objective(node_at(config, "objective")),
        optimizer=make("optimizer", node_at(config, "optimizer")) if trainable else None,
        scheduler=make("scheduler", config["scheduler"]) if trainable and config["scheduler"] else None,
        seed=config["seed"],
        description=description,
        test_noises=test_noises,
        classifier_weight=_of_classifier(config, "weight"),
        **shares,
    )


def _of_classifier(config: Config, option: str) -> float:
    """An option of the classifier beside its head; 1 for runs without a classifier."""
    return (config.get("classifier") or {}).get(option, 1.0)


def _objective(options: Config) -> Objective:
    with naming("objective"):
        return Objective(**options)
