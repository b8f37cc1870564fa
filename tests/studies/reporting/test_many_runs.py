"""What a report of many runs costs."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from tests.support import made
from vae_hydra import report
from vae_hydra.studies.reporting import collect

PROTOCOLS = ("reconstruct/clean", "denoise/normal", "denoise/uniform")
MEASURES = ("half_sse", "elbo", "kl", "psnr", "ssim")
SAMPLERS = ("normal", "lognormal", "student_t", "laplace", "gamma")


def runs(output, datasets, betas, seeds):
    draw = np.random.default_rng(0)
    for dataset, noise, sampler, beta, seed in itertools.product(
        datasets, ("none", "normal"), SAMPLERS, betas, range(seeds)
    ):
        scores = {f"{protocol}/{measure}": draw.normal(5) for protocol in PROTOCOLS for measure in MEASURES}
        made.run(output, scores, dataset=dataset, noise=noise, sampler=sampler, seed=seed, beta__value=beta)


def seconds(work) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def test_the_cost_grows_with_the_runs_and_no_faster(tmp_path):
    """By ratio, whatever the machine: four times the runs take far less than the sixteenfold of a comparison of all
    with all."""
    for name, seeds in (("few", 10), ("many", 40)):
        runs(tmp_path / name, ["digits"], [1.0], seeds)
    collect([tmp_path / "few"])
    few, many = (min(seconds(lambda n=name: collect([tmp_path / n])) for _ in range(3)) for name in ("few", "many"))
    assert many < 8 * few


@pytest.mark.slow
def test_a_thousand_runs_are_reported_in_ten_seconds(tmp_path, run_command):
    """Of CPU, without that of the processes that draw the figures."""
    runs(tmp_path / "runs", ["digits", "mnist"], [0.1, 0.3, 1.0, 3.0, 10.0], 10)
    assert seconds(lambda: run_command(report, "runs")) < 10
