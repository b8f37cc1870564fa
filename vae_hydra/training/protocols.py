"""Which scores a run should have: the protocols of its test and what each measures; without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vae_hydra.data.noise_nodes import nodes_to_test

CLEAN = "reconstruct/clean"
DENOISE = "denoise"
# Errors of a reconstruction, measured under every protocol.
RECONSTRUCTION = ("half_sse", "mse_per_pixel", "l1_per_pixel")
# What every protocol measures, whatever the run; a run without KL has no ELBO.
EXPECTED = ("loss", *RECONSTRUCTION, "log_likelihood", "kl")
OF_A_CLASSIFIER = ("cross_entropy", "accuracy")


def image_measure_names(x_shape: Sequence[int]) -> list[str]:
    """Which of ``psnr`` and ``ssim`` examples of a shape have: both for images [C, H, W], without SSIM below 3×3."""
    if len(x_shape) != 3:
        return []
    return ["psnr", "ssim"] if min(x_shape[1:]) >= 3 else ["psnr"]


def expected_scores(config: Mapping[str, Any], x_shape: Sequence[int] = ()) -> dict[str, list[str]]:
    """Protocol → names of the scores that a run of ``config`` should have under it.

    Args:
        config: resolved configuration of training; without ``test_noises``, as before there were any, a run is tested
            on its own noise alone.
        x_shape: of an example, as the data or a checkpoint's description say: only images have PSNR and SSIM. By
            default neither is expected.

    Raises:
        ValueError: for ``test_noises`` that cannot be tested.
    """
    noises = nodes_to_test(config["noise"], config.get("test_noises"))
    measures = [*EXPECTED, *image_measure_names(x_shape), *(OF_A_CLASSIFIER if config.get("classifier") else ())]
    protocols = [CLEAN, *(f"{DENOISE}/{name}" for name in noises)]
    return {protocol: [f"{protocol}/{measure}" for measure in measures] for protocol in protocols}


def missing_protocols(
    config: Mapping[str, Any], metrics: Mapping[str, float], x_shape: Sequence[int] = ()
) -> list[str]:
    """Protocols of ``config`` of which ``metrics`` lack one of the ``expected_scores``; none if they are complete."""
    expected = expected_scores(config, x_shape)
    return [protocol for protocol, names in expected.items() if not metrics.keys() >= set(names)]


def protocol_of(name: str) -> str:
    """The protocol of a score: its name without the measure."""
    return name.rpartition("/")[0]
