"""The device that tests train and score on: the CPU, or with VAE_HYDRA_TEST_DEVICE=gpu a GPU (make test-gpu)."""

from __future__ import annotations

import os

DEVICE = os.environ.get("VAE_HYDRA_TEST_DEVICE", "cpu")
TRAINED_ON, OPENED_ON = f"trainer.accelerator={DEVICE}", f"accelerator={DEVICE}"
TORCH_DEVICE = "cuda" if DEVICE == "gpu" else DEVICE
