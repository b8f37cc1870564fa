"""Devices that a configuration asks for, and those that this machine has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

# Accelerator → what it needs.
NEEDS = {
    "gpu": "a GPU that torch can use; torch.cuda.is_available() is false",
    "cuda": "a GPU that torch can use; torch.cuda.is_available() is false",
    "mps": "the GPU of an Apple computer; torch.backends.mps.is_available() is false",
}


def check_devices(options: Mapping[str, Any]) -> None:
    """Raise ValueError if this machine lacks the devices that a trainer's options ask for."""
    accelerator, devices = options.get("accelerator"), options.get("devices")
    if accelerator not in NEEDS:
        return
    has_mps = torch.backends.mps.is_available()
    available = {"cuda": torch.cuda.device_count(), "mps": int(has_mps)}
    count = max(available.values()) if accelerator == "gpu" else available[accelerator]
    if count == 0:
        raise ValueError(f"trainer.accelerator={accelerator} needs {NEEDS[accelerator]}. Use trainer=cpu")
    if isinstance(devices, int) and devices > count:
        raise ValueError(f"trainer.devices={devices}, but this machine has {count}; use trainer.devices={count}")
