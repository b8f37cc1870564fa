"""Normalizing flows by zuko."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vae_hydra.base import checks


def neural_spline_flow(
    latent_dim: int, group: str, transforms: int, bins: int, widths: Sequence[int], **options: Any
) -> Any:
    """zuko's neural spline flow over L values, with checked options of ``group``.

    Raises:
        ValueError: for an option out of range.
    """
    import zuko  # takes a while, and few runs need it

    hidden = [checks.positive_integer(f"{group}.widths[{i}]", width) for i, width in enumerate(widths)]
    return zuko.flows.NSF(
        latent_dim,
        transforms=checks.positive_integer(f"{group}.transforms", transforms),
        bins=checks.integer(f"{group}.bins", bins, minimum=2, maximum=1000),
        hidden_features=hidden,
        **options,
    )
