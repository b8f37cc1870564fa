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

# Datasets of load_torchvision → their names on Hugging Face.
HUB_DATASETS = {"MNIST": "ylecun/mnist", "FashionMNIST": "zalando-datasets/fashion_mnist"}
# Suffix of a file → its content.
DESCRIPTIONS = {
    ".safetensors": "all weights, with the shape of an example, the classes and the range of values as metadata",
    ".yaml": "the resolved configuration",
    ".pt2": "program of torch.export",
    ".onnx": "ONNX graph",
}
# Objective → its loss.
_WEIGHT = "p(x\\|z)·(p(z)/q(z\\|x))^β over the draws"
LOSSES = {
    "elbo": "−log p(x\\|z) + β·KL",
    "iwae": f"−log of the mean of {_WEIGHT}",
    "dreg": f"−log of the mean of {_WEIGHT}",
    "miwae": f"mean over groups of −log of the mean of {_WEIGHT}",
    "ciwae": f"mean, weighted, of the negative ELBO and −log of the mean of {_WEIGHT}",
    "beta_divergence": "β-divergence of p(x\\|z) + β·KL",
    "gamma_power": "γ-power divergence of t³VAE, its regulariser weighted by β",
}
# Options that do not describe a model, and the name, which is written before the others.
OMITTED = ("_target_", "_partial_", "name", "root", "download", "eval_batch_size", "fused")


class Shared(NamedTuple):
    """The content of a card.

    Attributes:
        name: of the run.
        module: the trained model.
        parts: of the model, with examples.
        formats: of the files.
        files: name → the file's ``bytes`` and more, as in export.json.
        trained: the record of the run, with the ``checkpoint`` and its ``epoch``.
        scores: on the test split; empty if this checkpoint has none.
        value_range: least and greatest value of the training data, after scaling and transform.
        tried_on: description of the examples that programs were compared on.
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
        descriptions={name: DESCRIPTIONS[Path(name).suffix] for name in shared.files},
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
    """Property of the model → its description."""
    module, trained = shared.module, shared.trained
    config, vae = module.description["config"], module.vae
    counts = parameter_counts(vae)
    parts = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    noise = module.noise.distribution
    return {
        "posterior q(z\\|x)": f"{_described(config['sampler'])}; {vae.latent_dim} latents",
        "prior p(z)": vae.sampler.prior.extra_repr() if vae.prior is None else _described(config["prior"]),
        "likelihood p(x\\|z)": _described(config["likelihood"]),
        "labels": _described(config["condition"] or {"name": "none given to the model"}),
        **({"head": _described(config["classifier"])} if config["classifier"] else {}),
        "data": _described(config["dataset"]),
        "noise of training": f"{noise.extra_repr()}, {module.noise.mode}" if noise else "none",
        "architecture": _architecture(config["model"]),
        "parameters": f"{sum(counts.values()):,} ({parts})",
        "loss": f"{_loss(config['objective'])}, β {_described(config['beta'])}; {_described(config['objective'])}",
        "training": f"{trained['checkpoint']}.ckpt, of epoch {trained['epoch']} from 0; "
        f"{_described(config['optimizer'])}; seed={config['seed']}",
    }


def _loss(objective: Mapping[str, Any]) -> str:
    return LOSSES.get(objective["name"], objective["name"])


def _described(node: Mapping[str, Any]) -> str:
    """A group of options as text: its name, and those of its plain options that have a value."""
    plain = {key: value for key, value in node.items() if key not in OMITTED and not isinstance(value, Mapping)}
    options = ", ".join(f"{key}={_text(value)}" for key, value in plain.items() if value is not None)
    return f"{node['name']} ({options})" if options and "name" in node else options or str(node.get("name"))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _architecture(model: Mapping[str, Any]) -> str:
    """The architecture as text: the options of the model, then those that only encoder or decoder have."""
    parts = {part: model.get(part) or {} for part in ("encoder", "decoder")}
    further = {part: {key: value for key, value in node.items() if key not in model} for part, node in parts.items()}
    return "; ".join(
        [
            _described(model),
            *(f"{part} {_described(node)}" for part, node in further.items() if node.keys() - {*OMITTED}),
        ]
    )


def _example_code(shared: Shared) -> dict[str, str]:
    """Expressions for four random inputs in the range of the data, with torch and with NumPy."""
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
