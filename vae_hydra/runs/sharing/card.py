"""The card of a shared model, in the format of Hugging Face's model cards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import torch
import yaml

from vae_hydra.runs.anatomy import parameter_counts
from vae_hydra.runs.score_table import COLUMNS, table
from vae_hydra.runs.sharing.parts import Part
from vae_hydra.runs.sharing.programs import BATCHES
from vae_hydra.training.module import VAEModule

# What Hugging Face calls that which load_torchvision loads.
HUB_DATASETS = {"MNIST": "ylecun/mnist", "FashionMNIST": "zalando-datasets/fashion_mnist"}
WHAT_IS = {
    ".safetensors": "all weights, with what the configuration does not say as metadata",
    ".yaml": "the resolved configuration",
    ".pt2": "program of torch.export",
    ".onnx": "ONNX graph",
}
# Options that say nothing of what a model is; a group's name comes before its options.
UNSAID = ("_target_", "_partial_", "name", "root", "download", "eval_batch_size", "fused")


class Shared(NamedTuple):
    """What a card is about.

    Attributes:
        name: of the run.
        module: the trained model.
        parts: of it, with examples.
        formats: that were written.
        files: name → its ``bytes`` and more, as export.json has it.
        trained: which checkpoint it is, and the record of the run: ``checkpoint``, ``epoch``, ``versions``, …
        scores: on the test split; empty if this checkpoint has none.
        value_range: least and greatest value of the training data, as the model sees them.
        tried_on: the examples that programs were compared on, in words.
        tolerance: of that comparison.
    """

    name: str
    module: VAEModule
    parts: Sequence[Part]
    formats: Sequence[str]
    files: Mapping[str, Mapping[str, Any]]
    trained: Mapping[str, Any]
    scores: Mapping[str, float]
    value_range: tuple[float, float]
    tried_on: str
    tolerance: float


def card(shared: Shared) -> str:
    """The card as Markdown, with its front matter; its code runs in the folder of the files."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string(Path(__file__).with_name("card.md").read_text(encoding="utf-8"))
    vae, (encoder, decoder, *_) = shared.module.vae, shared.parts
    versions = shared.trained.get("versions", {})
    return template.render(
        shared=shared,
        vae=vae,
        config=shared.module.description["config"],
        front_matter=yaml.safe_dump(_front_matter(shared), sort_keys=False, allow_unicode=True),
        about=_about(shared),
        scores=table(shared.scores),
        what_is={name: WHAT_IS[Path(name).suffix] for name in shared.files},
        programs={"torch_export", "onnx"} & set(shared.formats),
        batches=" and ".join(map(str, BATCHES)),
        stacked=shared.module.noise.mode == "stacked",
        y="y" in encoder.inputs,
        decoder_y="y" in decoder.inputs,
        outputs=", ".join(encoder.outputs),
        versions=", ".join(f"{name} {version}" for name, version in versions.items()),
        **_example_code(shared),
    )


def _front_matter(shared: Shared) -> dict[str, Any]:
    config = shared.module.description["config"]
    known = HUB_DATASETS.get(str((config["dataset"].get("source") or {}).get("dataset")))
    measured = {name.rpartition("/")[2] for name in shared.scores}
    tags = ["variational-autoencoder", "vae", "pytorch", f"{config['sampler'].get('name')}-latents"]
    return {
        "library_name": "vae_hydra",
        "tags": [*tags, *(["onnx"] if "onnx" in shared.formats else [])],
        **({"datasets": [known]} if known else {}),
        **({"metrics": [name for name in COLUMNS if name in measured]} if measured else {}),
    }


def _about(shared: Shared) -> dict[str, str]:
    """What the model is → in words."""
    module, trained = shared.module, shared.trained
    config, vae = module.description["config"], module.vae
    counts = parameter_counts(vae)
    parts = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    noise = module.noise.distribution
    return {
        "posterior q(z\\|x)": f"{_said(config['sampler'])}; {vae.latent_dim} latents",
        "prior p(z)": vae.sampler.prior.extra_repr(),
        "likelihood p(x\\|z)": _said(config["likelihood"]),
        "labels": _said(config.get("condition") or {"name": "none given to the model"}),
        **({"head": _said(config["classifier"])} if config.get("classifier") else {}),
        "data": _said(config["dataset"]),
        "noise of training": f"{noise.extra_repr()}, {module.noise.mode}" if noise else "none",
        "architecture": _architecture(config["model"]),
        "parameters": f"{sum(counts.values()):,} ({parts})",
        "loss": f"−log p(x\\|z) + β·KL, β {_said(config['beta'])}; {_said(config['objective'])}",
        "training": f"{trained['checkpoint']}.ckpt, of epoch {trained['epoch']} from 0; {_said(config['optimizer'])}; "
        f"seed={config['seed']}",
    }


def _said(node: Mapping[str, Any]) -> str:
    """A group of options in words: its name, and its plain options that have a value."""
    plain = {key: value for key, value in node.items() if key not in UNSAID and not isinstance(value, Mapping)}
    options = ", ".join(f"{key}={_text(value)}" for key, value in plain.items() if value is not None)
    return f"{node['name']} ({options})" if options and "name" in node else options or str(node.get("name"))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _architecture(model: Mapping[str, Any]) -> str:
    """A model in words, with what encoder and decoder have besides."""
    parts = {part: model.get(part) or {} for part in ("encoder", "decoder")}
    own = {part: {key: value for key, value in node.items() if key not in model} for part, node in parts.items()}
    return "; ".join(
        [_said(model), *(f"{part} {_said(node)}" for part, node in own.items() if node.keys() - {*UNSAID})]
    )


def _example_code(shared: Shared) -> dict[str, str]:
    """What makes four inputs at random in the range of the data, with torch and with NumPy."""
    low, high = shared.value_range
    x = shared.parts[0].inputs["x"]
    shape = ", ".join(map(str, (4, *x.shape[1:])))
    is_unit, is_double = (low, high) == (0, 1), x.dtype == torch.float64
    stretch = "" if is_unit else f"{low:g} + {high - low:g} * "
    dtype = ", dtype=torch.float64" if is_double else ""
    return {
        "low": f"{low:g}",
        "high": f"{high:g}",
        "x_torch": f"{stretch}torch.rand({shape}{dtype})",
        "x_numpy": f'{stretch}np.random.default_rng(0).random(({shape}), dtype="float{64 if is_double else 32}")',
    }
