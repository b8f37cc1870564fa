"""Configuration → model and data: the one place that derives sizes and connects parts."""

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
from vae_hydra.model.priors import Prior, VampPrior
from vae_hydra.model.samplers import Sampler
from vae_hydra.model.vae import VAE
from vae_hydra.runs.compatibility import (
    check_enough_examples,
    check_kl_exists,
    check_likelihood_fits,
    check_objective,
    check_optimizer_options,
    check_radius_is_positive,
    check_scheduler_options,
)
from vae_hydra.runs.contaminant import contaminant_of
from vae_hydra.runs.nodes import Config, asked_for, make, naming, node_at, parameters_of
from vae_hydra.training.module import VAEModule
from vae_hydra.training.objective import Objective

# Groups that say how a model was run; checkpoints do not hold them.
NOT_IN_CHECKPOINT = ("callbacks", "logger", "trainer", "output_dir")


class Experiment(NamedTuple):
    """A module and its data, ready for a trainer."""

    module: VAEModule
    data: DataModule


def build_experiment(config: Config, data: DataModule | None = None) -> Experiment:
    """The module and the data of ``config``, checked; ``data`` if they are built already.

    Raises:
        ValueError: for a configuration that cannot work; nothing has been written.
    """
    seed = checks.seed("seed", config["seed"])
    check_optimizer_options(node_at(config, "optimizer"))
    check_scheduler_options(config["scheduler"] or {})
    data = build_data(config) if data is None else data
    check_enough_examples(data)
    # The initial weights depend on the seed alone.
    torch.manual_seed(seed)
    description = describe(config, data)
    noise = build_noise(config)
    vae = build_vae(config, data.x_shape, noise, data.classes)
    _start_prior(vae, noise, data, seed)
    module = build_module(config, vae, noise, description, build_test_noises(config), data)
    check_likelihood_fits(module, data)
    check_radius_is_positive(vae)
    check_kl_exists(vae)
    check_objective(module)
    with naming("optimizer and scheduler"):
        module.configure_optimizers()
    if checks.boolean("compile", config.get("compile", False)):
        module.compile_training()
    return Experiment(module, data)


def build_data(config: Config, **source: Any) -> DataModule:
    """The DataModule of ``config.dataset``; ``source`` overrides options of its source, such as root and download."""
    given = node_at(config, "dataset.source")
    options = without_short_names(node_at(config, "dataset"))
    options["source"] = {**given, **{key: value for key, value in source.items() if key in given}}
    options["contaminant"] = contaminant_of(options, source)
    return make("dataset", options, order_seed=config["seed"], labelled=_of_classifier(config, "labelled"))


def without_short_names(dataset: Config) -> dict[str, Any]:
    """The options of a dataset that the DataModule takes: without those that only abbreviate options of its source."""
    arguments = inspect.signature(DataModule).parameters
    short_names = dataset["source"].keys() - arguments.keys() - {"_target_"}
    return {key: value for key, value in dataset.items() if key not in short_names}


def build_noise(config: Config) -> Noise:
    """The noise of ``config.noise``."""
    return make("noise", node_at(config, "noise"))


def build_test_noises(config: Config) -> list[Noise]:
    """The noises that a run of ``config`` is tested on: its own first, then those of ``config.test_noises``.

    Raises:
        ValueError: if two of ``config.test_noises`` share a name, or one is no noise.
    """
    own = node_at(config, "noise")
    nodes = nodes_to_test(own, config.get("test_noises"))
    return [make("noise" if node is own else f"test_noises.{name}", node) for name, node in nodes.items()]


def build_vae(config: Config, x_shape: Sequence[int], noise: Noise, classes: int) -> VAE:
    """The VAE of ``config`` with new weights, for examples of ``x_shape`` in ``classes`` under ``noise``.

    The encoder has sampler.feature_count(latent_dim) outputs; its input has the extra channels of stacked
    noise and of labels. The first axis of the decoder's output is likelihood.parameters_per_value times that of x.
    """
    model = node_at(config, "model")
    latent_dim = checks.positive_integer("model.latent_dim", model.get("latent_dim"))
    sizes = {"latent_dim": latent_dim, "x_shape": list(x_shape)}
    sampler = make("sampler", node_at(config, "sampler"), **asked_for("sampler", config, sizes))
    likelihood = make(
        "likelihood",
        node_at(config, "likelihood"),
        **{"x_shape": list(x_shape), **asked_for("likelihood", config, sizes)},
    )
    condition = _condition(config, classes)
    in_shape, z_values = noise.input_shape(x_shape), latent_dim
    if condition is not None:
        in_shape, z_values = condition.input_shape(in_shape), condition.latent_values(latent_dim)
    features = sampler.feature_count(latent_dim)
    out_shape = [likelihood.parameters_per_value * x_shape[0], *x_shape[1:]]
    encoder = make("model.encoder", node_at(config, "model.encoder"), in_shape=list(in_shape), out_features=features)
    decoder = make("model.decoder", node_at(config, "model.decoder"), in_features=z_values, out_shape=out_shape)
    classifier = _classifier(config, latent_dim, classes)
    # Last, so that its random starting values leave those of the networks as they are.
    prior = _prior(config, sampler, latent_dim, in_shape)
    return VAE(encoder, sampler, decoder, likelihood, latent_dim, x_shape, condition, classifier, prior)


def _prior(config: Config, sampler: Sampler, latent_dim: int, in_shape: Sequence[int]) -> Prior | None:
    """The prior of ``config.prior``; None for the sampler's own."""
    node = config.get("prior") or {}
    if "_target_" not in node:
        return None
    if not sampler.has_elbo:
        raise ValueError(
            f"prior={node['name']} is trained by the KL, which a deterministic sampler lacks; use prior=standard"
        )
    prior = make("prior", node, start=sampler.prior(), latent_dim=latent_dim, input_shape=list(in_shape))
    if sampler.on_sphere and not prior.on_sphere:
        raise ValueError(
            f"prior={node['name']} has no density on the sphere, where the latents of this sampler lie; use "
            "prior=standard or prior=vamp"
        )
    return prior


def _start_prior(vae: VAE, noise: Noise, data: DataModule, seed: int) -> None:
    """Start the pseudo-inputs of a VampPrior from training examples of the seed."""
    if not isinstance(vae.prior, VampPrior):
        return
    if vae.condition is not None:
        raise ValueError("prior=vamp encodes pseudo-inputs without a class; use condition=none")
    low, high = data.value_range()
    if noise.mode == "stacked" and (low > 0 or high < 1):
        raise ValueError(
            f"prior=vamp keeps its pseudo-inputs in the range of the data, here [{low:g}, {high:g}], and the further "
            "channels of noise.mode=stacked take values from 0 to 1; use noise.mode=additive or another prior"
        )
    examples = data.shuffled("train", torch.Generator().manual_seed(seed), vae.prior.components)
    vae.prior.start(noise.clean(examples.x), *data.value_range())


def _condition(config: Config, classes: int) -> Condition | None:
    return make("condition", config["condition"], classes=classes) if config["condition"] else None


def _classifier(config: Config, latent_dim: int, classes: int) -> nn.Module | None:
    if not config["classifier"]:
        return None
    if classes < 2:
        raise ValueError(
            f"classifier needs data with two classes or more, but these have {classes}; use classifier=none"
        )
    if config["condition"]:
        raise ValueError(
            "classifier and condition exclude each other: the head could read from z the label that the encoder was "
            "given; use condition=none or classifier=none"
        )
    return make("classifier.head", node_at(config, "classifier.head"), in_shape=[latent_dim], out_features=classes)


def describe(config: Config, data: DataModule) -> dict[str, Any]:
    """The part of a checkpoint besides tensors: enough to rebuild the model and show its samples without data."""
    kept = {key: value for key, value in config.items() if key not in NOT_IN_CHECKPOINT}
    return {
        "config": kept,
        "x_shape": list(data.x_shape),
        "classes": data.classes,
        "value_range": list(data.value_range()),
        **({"table": table} if (table := data.describe_table()) else {}),
        **({"digest": data.digest} if data.digest else {}),
    }


def build_module(
    config: Config,
    vae: VAE,
    noise: Noise,
    description: Mapping[str, Any],
    test_noises: Sequence[Noise],
    data: DataModule | None = None,
) -> VAEModule:
    """The module of ``config`` around ``vae``; it can be trained only with ``data``."""
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
    """The option ``weight`` or ``labelled`` of the classifier; 1 for runs without a classifier."""
    return (config["classifier"] or {}).get(option, 1.0)


def _objective(node: Config) -> Objective:
    """The objective of ``config.objective``; an option that belongs to another objective is refused."""
    known = parameters_of("objective", node)
    foreign = [option for option in node if option not in (*known, "_target_", "name")]
    if foreign:
        raise ValueError(
            f"objective={node.get('name')} takes {', '.join(known) or 'no options'} and not {', '.join(foreign)}; "
            f"leave this out, as in ~objective.{foreign[0]}"
        )
    return make("objective", node)
