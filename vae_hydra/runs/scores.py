"""Test scores of a trained model."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

import lightning as L

from vae_hydra.data.datamodule import DataModule
from vae_hydra.training.module import VAEModule
from vae_hydra.training.protocols import EXPECTED, in_order, protocol_of

log = logging.getLogger(__name__)


def score(trainer: L.Trainer, module: VAEModule, data: DataModule, split: str = "test") -> dict[str, float]:
    """Mean scores of ``module`` on a split under each of its protocols, from one draw of z per example.

    Returns:
        Name → score, in the order of the protocols. The input is clean for ``reconstruct/clean/half_sse`` and so on,
        and noisy for ``denoise/<noise>/half_sse``; outputs are compared with the clean example.
    """
    data.test_split = split
    (results,) = trainer.test(module, datamodule=data, verbose=False)
    warn_of_infinite(results)
    return in_order(results, module.protocols)


def warn_of_infinite(results: Mapping[str, float]) -> None:
    """Log a warning that names the protocols with infinite scores."""
    protocols = dict.fromkeys(
        protocol_of(name) for name, value in results.items() if _is_cost(name) and math.isinf(value)
    )
    if protocols:
        log.warning(
            "infinite scores under %s: latents or reconstructions of some examples exceed %s",
            ", ".join(protocols),
            "the model's precision; try sampler.positive=softplus, or train under this noise",
        )


def _is_cost(name: str) -> bool:
    return name.rpartition("/")[2] in EXPECTED
