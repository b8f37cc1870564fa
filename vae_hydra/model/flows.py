"""Normalizing flows by zuko."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.distributions import Distribution

from vae_hydra.base import checks


def imported_zuko() -> Any:
    """zuko, imported only where needed: it takes a while, and few runs need it.

    Importing it switches off the validation of arguments of all torch distributions, which is switched on again.
    """
    validates = Distribution._validate_args
    import zuko

    Distribution.set_default_validate_args(validates)
    return zuko


def neural_spline_flow(
    latent_dim: int, group: str, transforms: int, bins: int, widths: Sequence[int], **options: Any
) -> Any:
    """zuko's neural spline flow over L values, with checked options of ``group``.

    Raises:
        ValueError: for an option out of range.
    """
    zuko = imported_zuko()
    hidden = [checks.positive_integer(f"{group}.widths[{i}]", width) for i, width in enumerate(widths)]
    return zuko.flows.NSF(
        latent_dim,
        transforms=checks.positive_integer(f"{group}.transforms", transforms),
        bins=checks.integer(f"{group}.bins", bins, minimum=2, maximum=1000),
        hidden_features=hidden,
        **options,
    )
