"""vae_hydra: what does the choice of latent distribution do to a variational autoencoder?"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vae_hydra import _moved

if TYPE_CHECKING:
    import pandas as pd

    from vae_hydra.evaluate import scores_of_run as evaluate
    from vae_hydra.generate import generated_arrays as generate
    from vae_hydra.model.vae import VAE
    from vae_hydra.runs.folder import Run
    from vae_hydra.sweep import results_of_sweep as sweep
    from vae_hydra.train import trained_run as train

__all__ = ["evaluate", "generate", "load", "open_run", "push_to_hub", "results", "sweep", "train"]
__version__ = version("vae_hydra")
_moved.install()

# Modules of commands that are functions as well. They and the other functions import torch and Hydra only when called.
COMMANDS = ("evaluate", "generate", "sweep", "train")


def __getattr__(name: str) -> Any:
    if name in COMMANDS:
        return importlib.import_module(f"vae_hydra.{name}")
    raise AttributeError(f"module 'vae_hydra' has no attribute {name!r}")


def load(run: str | os.PathLike[str], checkpoint: str | None = None, trust: str | Sequence[str] = ()) -> VAE:
    """The trained model of a run, in evaluation mode: ``encode``, ``decode``, ``sample``.

    Args:
        run: a run's folder, a checkpoint file by itself, a folder that ``vae_hydra.export`` wrote, or a model on the
            Hugging Face Hub, ``hf://OWNER/NAME`` or ``hf://OWNER/NAME@REVISION``.
        checkpoint: ``best`` or ``last``; by default the best if validation chose one.
        trust: packages besides vae_hydra's and torch's own that its configuration may name.

    Raises:
        ValueError: if ``run`` is no run, or its checkpoint is damaged, of another architecture, or names code that is
            not trusted.
    """
    from vae_hydra.runs.saved import load_module

    return load_module(run if isinstance(run, str) else Path(run), checkpoint, trust).vae


def open_run(run: str | os.PathLike[str]) -> Run:
    """The run in a folder: ``metrics`` (the test scores), ``config``, ``record`` and ``epochs``, a row an epoch.

    Raises:
        ValueError: if it is no run.
    """
    from vae_hydra.runs.folder import Run

    return Run.open(Path(run).expanduser().absolute())


def push_to_hub(
    run: str | os.PathLike[str], repository: str, overrides: Sequence[str] = (), private: bool = False
) -> str:
    """Export a run and upload the files to the Hugging Face Hub; return the address of the commit.

    ``vae_hydra.load("hf://OWNER/NAME")`` loads the model again. You log in first: ``hf auth login``, or ``HF_TOKEN``.

    Args:
        run: its folder, or what ``vae_hydra.train`` or ``vae_hydra.open_run`` returned.
        repository: ``OWNER/NAME``; it is made if there is none.
        overrides: options of ``python -m vae_hydra.export``, for example ``["formats=safetensors"]``.
        private: whether a new repository is private.

    Raises:
        ValueError: without huggingface_hub, if the run cannot be exported, or the Hub refuses the upload.
    """
    from vae_hydra.export import uploaded

    return uploaded(run, repository, overrides, private)


def results(folders: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> pd.DataFrame:
    """A table of the runs in folders, a row a run: its options, its course and every score.

    ``vae_hydra.studies.reporting.results`` lists the columns.

    Args:
        folders: one or more folders that hold runs, or runs.

    Raises:
        ValueError: for a folder that does not exist or has no runs.
    """
    from vae_hydra.studies.reporting import results

    several = [folders] if isinstance(folders, (str, os.PathLike)) else folders
    return results(Path(folder).expanduser().absolute() for folder in several)
