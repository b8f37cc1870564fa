"""vae_hydra: what does the choice of latent distribution do to a variational autoencoder?"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from vae_hydra import _moved

if TYPE_CHECKING:
    from vae_hydra.model.vae import VAE

__version__ = version("vae_hydra")
_moved.install()


def load(run: str | Path, checkpoint: str | None = None, trust: str | Sequence[str] = ()) -> VAE:
    """The trained model of a run, in evaluation mode: ``encode``, ``decode``, ``sample``.

    Args:
        run: a run's folder, a checkpoint file by itself, or a folder that ``vae_hydra.export`` wrote.
        checkpoint: ``best`` or ``last``; by default the best if validation chose one.
        trust: packages besides vae_hydra's and torch's own that its configuration may name.

    Raises:
        ValueError: if ``run`` is no run, or its checkpoint is damaged, of another architecture, or names code that is
            not trusted.
    """
    # The commands' help and errors do not wait for torch.
    from vae_hydra.runs.saved import load_module

    return load_module(run, checkpoint, trust).vae
