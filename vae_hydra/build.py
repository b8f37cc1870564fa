"""Configuration → model, data and trainer: the one place that derives sizes and wires parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.fabric import Fabric
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn

from vae_hydra import checks
from vae_hydra.callbacks import AtomicCheckpointIO, Checkpoints, MetricsCSV
from vae_hydra.compatibility import (
    check_enough_examples,
    check_free_bits,
    check_kl_exists,
    check_likelihood_fits,
    check_optimizer_options,
    check_same_mode,
    check_scheduler_options,
    check_trainer_options,
    warn_of_busy_cores,
)
from vae_hydra.condition import Condition
from vae_hydra.data import DataModule
from vae_hydra.module import CHECKPOINT_KEY, VAEModule
from vae_hydra.noise import Noise
from vae_hydra.noise_nodes import nodes_to_test
from vae_hydra.objective import Objective
from vae_hydra.trust import check_config
from vae_hydra.vae import VAE

Config = Mapping[str, Any]

# Short names for what conf/dataset interpolates into the node that loads the data.
SOURCE_OPTIONS = (
    "root",
    "download",
    "variant",
    "loc",
    "concentration",
    "dimensions",
    "df",
    "train_size",
    "test_size",
)
# How a model was run rather than what it is: not stored in its checkpoints.
NOT_IN_CHECKPOINT = ("callbacks", "logger", "trainer", "output_dir")


class Experiment(NamedTuple):
    """A module and its data, ready for a trainer."""

    module: VAEModule
    data: DataModule


def build_experiment(config: Config) -> Experiment:
    """Build and check everything that ``config`` describes short of the trainer.

    Raises:
        ValueError: for anything in ``config`` that cannot work, before a file is written.
    """
    seed = checks.seed("seed", config["seed"])
    check_optimizer_options(_node(config, "optimizer"))
    check_scheduler_options(config["scheduler"] or {})
    data = build_data(config)
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
    options = {key: value for key, value in _node(config, "dataset").items() if key not in SOURCE_OPTIONS}
    given = _node(options, "source")
    options["source"] = {**given, **{key: value for key, value in source.items() if key in given}}
    return _make("dataset", options, order_seed=config["seed"], labelled=_of_classifier(config, "labelled"))


def build_noise(config: Config) -> Noise:
    """The noise of ``config.noise``, which keeps its name."""
    return _make("noise", _node(config, "noise"))


def build_test_noises(config: Config) -> list[Noise]:
    """The noises of ``config`` that a run denoises in its test: its own first, then those of ``config.test_noises``.

    Raises:
        ValueError: for two of ``config.test_noises`` that share a name, or anything that is no noise.
    """
    own = _node(config, "noise")
    nodes = nodes_to_test(own, config.get("test_noises"))
    return [_make("noise" if node is own else f"test_noises.{name}", node) for name, node in nodes.items()]


def build_vae(config: Config, x_shape: Sequence[int], noise: Noise, classes: int) -> VAE:
    """The VAE of ``config`` for examples of ``x_shape`` in ``classes`` under ``noise``, with freshly drawn weights.

    The encoder's width out is sampler.parameters_per_latent · latent_dim; its input has the extra
    channels of stacked noise and of labels. The decoder's first axis out is likelihood.parameters_per_value times x's.
    """
    model = _node(config, "model")
    latent_dim = checks.positive_integer("model.latent_dim", model.get("latent_dim"))
    sampler = _make("sampler", _node(config, "sampler"))
    likelihood = _make("likelihood", _node(config, "likelihood"), x_shape=list(x_shape))
    condition = _condition(config, classes)
    in_shape, z_values = noise.input_shape(x_shape), latent_dim
    if condition is not None:
        in_shape, z_values = condition.input_shape(in_shape), condition.latent_values(latent_dim)
    features = sampler.parameters_per_latent * latent_dim
    out_shape = [likelihood.parameters_per_value * x_shape[0], *x_shape[1:]]
    encoder = _make("model.encoder", _node(config, "model.encoder"), in_shape=list(in_shape), out_features=features)
    decoder = _make("model.decoder", _node(config, "model.decoder"), in_features=z_values, out_shape=out_shape)
    classifier = _classifier(config, latent_dim, classes)
    return VAE(encoder, sampler, decoder, likelihood, latent_dim, x_shape, condition, classifier)


def _condition(config: Config, classes: int) -> Condition | None:
    # Runs from before there were conditions have no such node.
    node = config.get("condition")
    return _make("condition", node, classes=classes) if node else None


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
    return _make("classifier.head", _node(config, "classifier.head"), in_shape=[latent_dim], out_features=classes)


def build_trainer(
    config: Config, data: DataModule, folder: Path, run_id: str, extra_callbacks: Iterable[Callback] = ()
) -> L.Trainer:
    """The trainer of ``config`` for ``data``, writing into ``folder``, which need not exist yet.

    ``run_id`` is what loggers recognise a run by that is started again.

    Raises:
        ValueError: for options that Lightning refuses, or that could not end in a scored run.
    """
    options = dict(_node(config, "trainer"))
    callbacks = [_make(f"callbacks.{key}", node) for key, node in _node(config, "callbacks").items() if node]
    loggers = [
        _make(f"logger.{key}", node, folder=folder, run_id=run_id)
        for key, node in _node(config, "logger").items()
        if node
    ]
    check_trainer_options(options, config)
    if not data.has_validation:
        options["limit_val_batches"] = 0
    _check_callbacks(callbacks, validates=options.get("limit_val_batches") != 0)
    with naming("trainer"):
        trainer = L.Trainer(
            **options,
            default_root_dir=folder,
            # MetricsCSV first: Lightning keeps the order of those that run last.
            callbacks=[MetricsCSV(), *callbacks, *extra_callbacks],
            logger=loggers,
            plugins=[AtomicCheckpointIO()],
        )
    warn_of_busy_cores(trainer.num_devices, trainer.strategy.root_device.type)
    return trainer


def build_evaluation_trainer(accelerator: str) -> L.Trainer:
    """A trainer for scoring on one device, which writes nothing."""
    with naming("accelerator"):
        return L.Trainer(
            accelerator=accelerator,
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )


def choose_device(accelerator: str) -> torch.device:
    """The device that Lightning takes for ``accelerator``, of which one is used; ValueError if there is none such."""
    with naming("accelerator"):
        try:
            return Fabric(accelerator=accelerator, devices=1).device
        except RuntimeError as error:
            raise ValueError(f"accelerator={accelerator}: {error}") from error


def describe(config: Config, data: DataModule) -> dict[str, Any]:
    """What a checkpoint holds besides tensors: enough to rebuild the model and show what it generates without data."""
    kept = {key: value for key, value in config.items() if key not in NOT_IN_CHECKPOINT}
    return {
        "config": kept,
        "x_shape": list(data.x_shape),
        "classes": data.classes,
        "value_range": list(data.value_range()),
    }


def rebuild(
    checkpoint: Mapping[str, Any],
    trust: str | Sequence[str] = (),
    test_noises: Sequence[Noise] | None = None,
    others: Config | None = None,
) -> VAEModule:
    """The module that ``checkpoint`` was saved from, with its weights, ready to evaluate.

    Args:
        checkpoint: as loaded by ``run.read_checkpoint``.
        trust: packages besides torch's and our own that its configuration may name.
        test_noises: noises to test with; None for its own and the others.
        others: options of those, as a configuration's ``test_noises`` has them; None for what its own says.

    Raises:
        ValueError: for a target that is not allowed, weights of another architecture, or a noise of
            another mode.
    """
    description = checkpoint[CHECKPOINT_KEY]
    config = description["config"]
    check_config(config, trust)
    noise = build_noise(config)
    vae = build_vae(config, description["x_shape"], noise, description.get("classes", 0))
    if test_noises is None:
        test_noises = build_test_noises(config if others is None else {**config, "test_noises": others})
    for one in test_noises:
        check_same_mode(one, noise)
    # No optimizer, no data: fewer things that a stranger's configuration could name.
    module = _module(config, vae, noise, description, [one for one in test_noises if not one.is_none])
    module.on_load_checkpoint(dict(checkpoint))
    if any(parameter.dtype == torch.float64 for parameter in vae.parameters()):
        module.double()  # as Lightning did, so that it is scored as it was trained
    load_weights(vae, checkpoint)
    return module.eval()


def load_weights(vae: VAE, checkpoint: Mapping[str, Any]) -> None:
    """Put the model weights of ``checkpoint`` into ``vae``; ValueError if they are of another architecture."""
    try:
        vae.load_state_dict(vae_weights(checkpoint))
    except RuntimeError as error:
        details = "\n".join(str(error).splitlines()[1:6])
        raise ValueError(f"the checkpoint's weights are of another architecture:\n{details}") from error


def vae_weights(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The model weights of ``checkpoint`` by their names in the model."""
    state = checkpoint["state_dict"]
    return {name.removeprefix("vae."): value for name, value in state.items() if name.startswith("vae.")}


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
        beta=_make("beta", _node(config, "beta")),
        objective=_objective(_node(config, "objective")),
        optimizer=_make("optimizer", _node(config, "optimizer")) if trainable else None,
        scheduler=_make("scheduler", config["scheduler"]) if trainable and config["scheduler"] else None,
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


def _check_callbacks(callbacks: Sequence[Callback], validates: bool) -> None:
    if not any(isinstance(callback, Checkpoints) for callback in callbacks):
        raise ValueError("callbacks.checkpoints cannot be left out: a run is scored and resumed from its checkpoints")
    for callback in callbacks:
        if isinstance(callback, EarlyStopping) and callback.monitor.startswith("val/") and not validates:
            raise ValueError(
                f"early stopping watches {callback.monitor}, but there are no examples to validate on; "
                "set dataset.validation=0.1, or callbacks.early_stopping.monitor=train/loss"
            )


def _node(config: Config, path: str) -> Config:
    """The group of options at a dotted path; ValueError if there is none."""
    node: Any = config
    for key in path.split("."):
        node = node.get(key) if isinstance(node, Mapping) else None
    return checks.group(path, node)


def _make(key: str, node: Config, **arguments: Any) -> Any:
    """Instantiate one node of the configuration; its ``name`` is for people unless it is the noise's."""
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise ValueError(f"{key} must be a group of options with a _target_, but got {node!r}")
    is_noise = key.split(".")[0] in ("noise", "test_noises")
    options = dict(node) if is_noise else {name: value for name, value in node.items() if name != "name"}
    with naming(key):
        return instantiate(options, _convert_="all", **arguments)


@contextmanager
def naming(key: str) -> Iterator[None]:
    """Turn errors about values of the configuration into a ValueError that says which part of it."""
    try:
        yield
    except InstantiationException as error:
        raise ValueError(_reason(key, error.__cause__ or error)) from error
    except (TypeError, ValueError, LookupError, ArithmeticError, ImportError, MisconfigurationException) as error:
        raise ValueError(_reason(key, error)) from error


def _reason(key: str, error: BaseException) -> str:
    message = str(error).strip()
    return message if key.split(".")[0] in message else f"{key}: {message}"
