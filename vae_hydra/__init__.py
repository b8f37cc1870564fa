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
        ValueError: if ``run`` is no run, or its checkpoint is damaged, of another architecture, or names
            code that is not trusted.
    """
    # Imported here so that the commands' help and errors do not wait for torch.
    from vae_hydra.runs.checkpoint import read_checkpoint
    from vae_hydra.runs.folder import Run
    from vae_hydra.runs.rebuild import rebuild
    from vae_hydra.runs.sharing.weights import read_weights, weights_path

    path = Path(run).expanduser()
    weights = weights_path(path)
    if weights is not None:
        if checkpoint is not None:
            raise ValueError(f"{path} holds one model; leave checkpoint={checkpoint} out")
        return rebuild(read_weights(weights), trust).vae
    path = path if path.is_file() else Run.open(path).checkpoint_path(checkpoint)
    return rebuild(read_checkpoint(path), trust).vae
