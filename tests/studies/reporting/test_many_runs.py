"""What a report of many runs costs."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from tests.support import made, many_runs
from tests.support.browser import chromium
from vae_hydra.studies.reporting import collect
from vae_hydra.studies.reporting.command import report as write

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


@pytest.fixture(scope="module")
def thousand(tmp_path_factory):
    """The folder of a report of a thousand runs as training leaves them, and its seconds of CPU: without the processes
    that draw the figures."""
    output = tmp_path_factory.mktemp("thousand")
    assert many_runs.write_runs(output / "runs") == 1000
    metrics = ["reconstruct/clean/*", "denoise/own/half_sse"]
    config = {"folders": [str(output / "runs")], "output": str(output / "report"), "metrics": metrics, "level": 0.05}
    return output / "report", seconds(lambda: write(config))


@pytest.mark.slow
def test_a_thousand_runs_are_reported_in_twenty_seconds_and_ten_megabytes(thousand):
    """pytest -m slow tests/studies/reporting/test_many_runs.py; ``python benchmarks/report.py`` prints the figures."""
    folder, spent = thousand
    assert spent < 20
    assert (folder / "report.html").stat().st_size < 10e6


@pytest.mark.slow
def test_the_page_of_a_thousand_runs_can_be_used(thousand, tmp_path):
    """pytest -m slow tests/studies/reporting/test_many_runs.py; the limits are for a busy machine."""
    driver = chromium(tmp_path)
    try:
        driver.get((thousand[0] / "report.html").as_uri())
        assert driver.execute_script("return performance.getEntriesByType('navigation')[0].loadEventEnd") < 10_000
        spent = driver.execute_script(
            "const start = performance.now(); filterBy('sampler=gamma seed<5'); document.body.offsetHeight;"
            "return performance.now() - start"
        )
        assert spent < 2000
        assert driver.execute_script("return list.tBodies[0].rows.length") == 100
        # All runs are printed; on the screen, rows come as the reader scrolls.
        rows = "filterBy(''); const few = list.tBodies[0].rows.length; window.dispatchEvent(new Event('beforeprint'));"
        assert driver.execute_script(f"{rows} return [few, list.tBodies[0].rows.length]") == [200, 1000]
    finally:
        driver.quit()
