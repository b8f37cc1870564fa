"""Writing a model's files into a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vae_hydra.base.system_errors import first_line
from vae_hydra.runs.sharing.parts import Part
from vae_hydra.runs.sharing.programs import FORMATS, largest_difference, traced
from vae_hydra.runs.sharing.weights import CONFIG, WEIGHTS, write_config, write_weights
from vae_hydra.training.module import VAEModule

ALL_FORMATS = ("safetensors", *FORMATS)


def write_model(
    folder: Path,
    module: VAEModule,
    parts: Sequence[Part],
    formats: Sequence[str],
    value_range: tuple[float, float],
    tolerance: float,
) -> dict[str, dict[str, Any]]:
    """Write the configuration, and the model in ``formats``.

    Returns:
        File name → its ``bytes`` and ``sha256``, and for a program its ``largest_difference`` from the model.

    Raises:
        ValueError: if a part cannot be exported, or a program differs from the model beyond ``tolerance``.
    """
    write_config(folder, module.description["config"])
    if "safetensors" in formats:
        write_weights(folder, module, value_range)
    written = {name: described(folder / name) for name in (CONFIG, WEIGHTS) if (folder / name).is_file()}
    chosen = {name: FORMATS[name] for name in formats if name in FORMATS}
    for part in parts if chosen else ():
        with _explained(part, " or ".join(chosen)):
            program = traced(part)
        for name, (suffix, write, read) in chosen.items():
            path = folder / f"{part.name}{suffix}"
            with _explained(part, name):
                write(part, program, path)
            difference = largest_difference(part, read(path), tolerance)
            written[path.name] = {**described(path), "largest_difference": difference}
    return written


@contextmanager
def _explained(part: Part, formats: str) -> Iterator[None]:
    """Turn any error of torch's exporters about a model, such as one with a user's sampler, into a clear line."""
    try:
        yield
    except OSError:
        # This is about the disk, not about the model.
        raise
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        reason = first_line(cause)
        raise ValueError(
            f"the {part.name} cannot be exported as {formats}: {reason}. Leave that out of formats, or export the "
            "weights alone: formats=safetensors. HYDRA_FULL_ERROR=1 says where"
        ) from error


def described(path: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file."""
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
