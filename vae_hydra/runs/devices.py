"""Devices that a configuration asks for, and those that this machine has."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from vae_hydra.base import checks

ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
# Accelerator → what it needs.
NEEDS = {
    "gpu": "a GPU that torch can use; torch.cuda.is_available() is false",
    "cuda": "a GPU that torch can use; torch.cuda.is_available() is false",
    "mps": "the GPU of an Apple computer; torch.backends.mps.is_available() is false",
}


def uses_gpu(configs: Iterable[Mapping[str, Any]]) -> bool:
    """Whether one of the runs trains on a GPU of this machine."""
    wanted = {config["trainer"].get("accelerator", "auto") for config in configs}
    return bool(wanted & {"gpu", "cuda", "mps"}) or ("auto" in wanted and torch.cuda.is_available())


def visible_gpus() -> list[int]:
    """Numbers of the NVIDIA GPUs that this process may use, among those of the machine."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    if all(name.strip().isdigit() for name in named):
        return [int(name) for name in named]
    return list(range(torch.cuda.device_count()))


def check_devices(options: Mapping[str, Any], group: str = "trainer.") -> None:
    """Raise ValueError for an unknown accelerator, or if this machine lacks the devices that options ask for.

    ``group`` is what the names of the options begin with.
    """
    accelerator, devices = options.get("accelerator", "auto"), options.get("devices")
    checks.one_of(f"{group}accelerator", accelerator, ACCELERATORS)
    if accelerator not in NEEDS:
        return
    has_mps = torch.backends.mps.is_available()
    available = {"cuda": torch.cuda.device_count(), "mps": int(has_mps)}
    count = max(available.values()) if accelerator == "gpu" else available[accelerator]
    if count == 0:
        raise ValueError(f"{group}accelerator={accelerator} needs {NEEDS[accelerator]}. Use {group}accelerator=cpu")
    if isinstance(devices, int) and devices > count:
        raise ValueError(f"trainer.devices={devices}, but this machine has {count}; use trainer.devices={count}")
