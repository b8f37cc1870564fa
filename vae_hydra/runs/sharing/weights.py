"""A model as weights in safetensors and a configuration, without code and without paths of a machine."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from vae_hydra.base import nested
from vae_hydra.base.files import write_bytes, write_text
from vae_hydra.runs.upgrade import upgrade_description
from vae_hydra.training.module import CHECKPOINT_KEY, VAEModule

WEIGHTS, CONFIG = "model.safetensors", "config.yaml"
# Our entry in the metadata of the weights, as JSON.
METADATA_KEY = "vae_hydra"
# The entry with the checksum of weights and metadata; the format itself has none.
CHECKSUM_KEY = "sha256"
# Options that depend on the machine → their values in a shared configuration.
OF_A_MACHINE: dict[str, Any] = {
    "threads": None,
    "trust": [],
    "dataset.root": "data",
    "dataset.download": False,
    "dataset.source.root": "data",
    "dataset.source.download": False,
    "dataset.contaminant.root": "data",
    "dataset.contaminant.download": False,
    **{f"dataset.{group}cache": "outputs/images" for group in ("", "source.", "contaminant.")},
    **{f"dataset.{group}in_memory": None for group in ("", "source.", "contaminant.")},
}
# Options of which only the name is kept, which dataset.root completes.
PLACES = ("init_from", "dataset.path", "dataset.source.path", "dataset.contaminant.path")


def write_weights(folder: Path, module: VAEModule, value_range: tuple[float, float]) -> None:
    """Write all weights, with metadata that the configuration lacks: shape of an example, classes, value range."""
    known = {key: value for key, value in module.description.items() if key != "config"}
    described = json.dumps({**known, "value_range": list(value_range)})
    # safetensors refuses views, and tensors that share memory.
    weights = {name: value.contiguous() for name, value in module.vae.state_dict().items()}
    metadata = {"format": "pt", METADATA_KEY: described, CHECKSUM_KEY: _checksum(weights, described)}
    write_bytes(folder / WEIGHTS, save(weights, metadata))


def _checksum(weights: Mapping[str, Tensor], described: str) -> str:
    """SHA-256 of weights and metadata, independent of the order of the weights."""
    digest = hashlib.sha256(described.encode())
    for name, value in sorted(weights.items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Write the resolved configuration, made ``portable``."""
    write_text(folder / CONFIG, yaml.safe_dump(portable(config), sort_keys=False, allow_unicode=True))


def portable(config: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` without paths and settings of the machine; of places it keeps the name."""
    kept = copy.deepcopy(dict(config))
    for path, value in OF_A_MACHINE.items():
        if nested.has(kept, path):
            nested.put(kept, path, copy.copy(value))
    for path in PLACES:
        place = nested.get(kept, path)
        if isinstance(place, str) and (path == "init_from" or Path(place).expanduser().is_absolute()):
            nested.put(kept, path, Path(place).name)
    return kept


def weights_path(path: Path) -> Path | None:
    """``path`` if it is a file of weights, or the one in the folder ``path``; None for anything else."""
    if path.is_file():
        return path if path.suffix == ".safetensors" else None
    return path / WEIGHTS if (path / WEIGHTS).is_file() else None


def read_weights(path: Path) -> dict[str, Any]:
    """Weights and the configuration beside them, as the checkpoint that ``rebuild`` takes.

    Raises:
        ValueError: if the file is damaged, was not written by vae_hydra, or has no config.yaml beside it.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        described = metadata.get(METADATA_KEY, "null")
        known = json.loads(described)
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise ValueError(f"{path} cannot be read as safetensors; it is damaged or not one ({error})") from error
    if not isinstance(known, dict) or "x_shape" not in known:
        raise ValueError(f"{path} was not written by vae_hydra: its metadata have no {METADATA_KEY}")
    # Older exports have no checksum.
    if metadata.get(CHECKSUM_KEY, ...) not in (..., _checksum(weights, described)):
        raise ValueError(f"{path} is damaged: it does not match its checksum; get another copy, or export it again")
    state = {f"vae.{name}": value for name, value in weights.items()}
    description = upgrade_description({**known, "config": _config_beside(path)})
    return {CHECKPOINT_KEY: description, "state_dict": state}


def _config_beside(path: Path) -> dict[str, Any]:
    beside = path.with_name(CONFIG)
    try:
        config = yaml.safe_load(beside.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"{path} needs its {CONFIG} beside it, which cannot be read ({error})") from error
    if not isinstance(config, dict):
        raise ValueError(f"{beside} is damaged: it holds no options")
    return config
