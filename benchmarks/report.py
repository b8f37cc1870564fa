"""What does a report of a thousand runs cost? Seconds to write it, its size, and the times of its page in Chromium.

    python benchmarks/report.py [seeds]        (ten seeds are a thousand runs)

Run folders as training leaves them are made first: 60 epochs, 45 scores, examples and pictures each. The page is opened
from its file; a time ends when the browser has laid out the page. Without Chromium and its driver only the report is
measured.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.browser import BROWSER, DRIVER, chromium
from tests.support.many_runs import write_runs

# Script → what it does to the page.
ACTIONS = {
    "filter by a column": "filterBy('sampler=gamma seed<5')",
    "filter by a word": "filterBy('uniform')",
    "show all runs again": "filterBy('')",
    "sort": "sortBy('reconstruct/clean/half_sse')",
    "show every column": "showColumns(columns.keys())",
    "draw the curves of all runs": "byId('curve-runs').value = 'listed'; drawCurves()",
    "draw all scores": "drawScores()",
}


def written(folder: Path) -> tuple[float, float]:
    """Seconds of the command, and of the processors."""
    command = [sys.executable, "-m", "vae_hydra.report", str(folder / "runs"), f"output={folder / 'report'}"]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, used.ru_utime + used.ru_stime


def page_times(page: Path, profile: Path) -> dict[str, float]:
    """Milliseconds until the page can be used, and of each action on it."""
    driver = chromium(profile)
    driver.get(page.as_uri())
    opened = driver.execute_script("return performance.getEntriesByType('navigation')[0].loadEventEnd")
    times = {"open": opened}
    for name, action in ACTIONS.items():
        measured = "const start = performance.now(); %s; document.body.offsetHeight; return performance.now() - start"
        times[name] = driver.execute_script(measured % action)
    driver.quit()
    return times


def main(seeds: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        folder = Path(place)
        count = write_runs(folder / "runs", seeds)
        seconds, busy = written(folder)
        page = folder / "report" / "report.html"
        size = page.stat().st_size / 1e6
        print(f"{count} runs: report in {seconds:.1f} s ({busy:.1f} s of CPU), report.html {size:.2f} MB")
        if BROWSER and DRIVER:
            for name, milliseconds in page_times(page, folder / "profile").items():
                print(f"{milliseconds:8.0f} ms  {name}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
