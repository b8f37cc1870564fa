"""Names of latents."""

from __future__ import annotations

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def latent_name(latent: int) -> str:
    """z₅ for latent 5, the column with index 5 of the arrays of ``embed``.

    >>> latent_name(10)
    'z₁₀'
    """
    return "z" + str(latent).translate(_SUBSCRIPTS)
