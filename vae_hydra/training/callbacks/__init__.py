"""Lightning callbacks: checkpoints, guards, histograms, progress and pruning."""

from vae_hydra.training.callbacks.checkpoints import AtomicCheckpointIO, Checkpoints, EarlyStop
from vae_hydra.training.callbacks.guards import (
    CollapseWarning,
    FiniteLoss,
    Interrupted,
    InterruptGuard,
    NonFiniteLossError,
)
from vae_hydra.training.callbacks.histograms import Histograms
from vae_hydra.training.callbacks.progress import EpochTimer, Progress
from vae_hydra.training.callbacks.pruning import Pruned, Pruning

__all__ = [
    "AtomicCheckpointIO",
    "Checkpoints",
    "CollapseWarning",
    "EarlyStop",
    "EpochTimer",
    "FiniteLoss",
    "Histograms",
    "InterruptGuard",
    "Interrupted",
    "NonFiniteLossError",
    "Progress",
    "Pruned",
    "Pruning",
]
