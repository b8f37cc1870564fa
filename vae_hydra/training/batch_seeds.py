"""The seed of all randomness of a batch."""

from __future__ import annotations

import numpy as np
import torch

# Stages of a run.
TRAIN, VALIDATION, TEST = range(3)


def batch_seed(seed: int, stage: int, epoch: int, batch: int, rank: int = 0) -> int:
    """The seed of all randomness of a batch, in one of the processes of a run."""
    return int(np.random.SeedSequence((seed, stage, epoch, batch, rank)).generate_state(1)[0])


def seed_generator(device: torch.device, seed: int) -> None:
    """Seed the default generator of one device. Without CUDA, torch.manual_seed formats a stack trace each call."""
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)
