"""Test protocols and their measures: the scores that a run should have; without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vae_hydra.data.noise_nodes import nodes_to_test

CLEAN = "reconstruct/clean"
DENOISE = "denoise"
# Errors of a reconstruction, measured under every protocol.
RECONSTRUCTION = ("half_sse", "mse_per_pixel", "l1_per_pixel")
# Measures of every protocol and every run; the ELBO is missing because a run without KL has none.
EXPECTED = ("loss", *RECONSTRUCTION, "log_likelihood", "kl")
OF_A_CLASSIFIER = ("cross_entropy", "accuracy")


def image_measure_names(x_shape: Sequence[int]) -> list[str]:
    """Names of the image measures for an x_shape: ``psnr`` for images [C, H, W], ``ssim`` from 3×3 pixels on."""
    if len(x_shape) != 3:
        return []
    return ["psnr", "ssim"] if min(x_shape[1:]) >= 3 else ["psnr"]


def expected_scores(config: Mapping[str, Any], x_shape: Sequence[int] = ()) -> dict[str, list[str]]:
    """Names of the scores that a run of ``config`` should have, by protocol.

    Args:
        config: resolved configuration of training; without ``test_noises``, as in old runs, a run is tested on its
            training noise alone.
        x_shape: shape of an example, from the data or a checkpoint's description: only images have PSNR and SSIM. By
            default neither is expected.

    Raises:
        ValueError: for invalid ``test_noises``.
    """
    noises = nodes_to_test(config["noise"], config.get("test_noises"))
    measures = [*EXPECTED, *image_measure_names(x_shape), *(OF_A_CLASSIFIER if config.get("classifier") else ())]
    protocols = [CLEAN, *(f"{DENOISE}/{name}" for name in noises)]
    return {protocol: [f"{protocol}/{measure}" for measure in measures] for protocol in protocols}


def missing_protocols(
    config: Mapping[str, Any], metrics: Mapping[str, float], x_shape: Sequence[int] = ()
) -> list[str]:
    """Protocols of ``config`` for which ``metrics`` lack at least one of the ``expected_scores``."""
    expected = expected_scores(config, x_shape)
    return [protocol for protocol, names in expected.items() if not metrics.keys() >= set(names)]


def protocol_of(name: str) -> str:
    """The protocol of a score: its name without the measure.

    >>> protocol_of("reconstruct/clean/half_sse")
    'reconstruct/clean'
    """
    return name.rpartition("/")[0]


def in_order(scores: Mapping[str, float], protocols: Sequence[str]) -> dict[str, float]:
    """Scores in the order of their protocols, and by name within one."""
    places = {protocol: place for place, protocol in enumerate(protocols)}
    return dict(sorted(scores.items(), key=lambda item: (places[protocol_of(item[0])], item[0])))
