"""report.html in a browser: it opens from a file, sorts, filters, and executes no script from a run's folder."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from tests.support import made
from tests.support.browser import chromium
from vae_hydra.runs.identity import run_name
from vae_hydra.studies.reporting import collect, pivot
from vae_hydra.studies.reporting.write import write_report

SCRIPT = "<script>window.intruder = true</script>"
IMAGE = "<img src=x onerror='window.intruder = true'>"
# Text, 9 before 10, negative before both, nothing last.
SCORES = {"normal": [10.0, 9.0, -2.5], "lognormal": [100.25, 11.0, 1e-3]}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report of a sweep with everything in it: runs that failed, are missing, damaged, and one of a stranger."""
    output = tmp_path_factory.mktemp("runs")
    generator = np.random.default_rng(0)
    for sampler, scores in SCORES.items():
        for seed, score in enumerate(scores):
            folder = made.run(output, score, sampler=sampler, seed=seed)
            (folder / "figures").mkdir()
            arrays = {
                name: generator.random((10, 1, 8, 8), dtype=np.float32) for name in ("original", "reconstruction")
            }
            np.savez(folder / "figures" / "examples.npz", **arrays)
    stranger = made.run(output, status="failed", error=f"{SCRIPT} {IMAGE} </script>", sampler="student_t")
    record = json.loads((stranger / "run.json").read_text())
    record |= {"started": IMAGE, "versions": {SCRIPT: IMAGE}, "git_commit": SCRIPT}
    (stranger / "run.json").write_text(json.dumps(record))
    odd = made.run(output, {"reconstruct/clean/half_sse": 3.0, f"reconstruct/clean/{SCRIPT}": 1.0}, sampler="weibull")
    (odd / "config.yaml").write_text((odd / "config.yaml").read_text().replace("name: weibull", f'name: "{SCRIPT}"'))
    odd.rename(output / IMAGE.replace("/", ""))
    (made.run(output, noise="uniform") / "metrics.json").write_text("{")
    absent = run_name(made.config(output, sampler="gamma"))
    made.plan(output, [(absent, ["sampler=gamma", f"x={SCRIPT}"], None)], command=f"train -m {SCRIPT}")
    results = collect([output])
    metrics = ["reconstruct/clean/half_sse", f"reconstruct/clean/{SCRIPT}"]
    pivots = [pivot(results.frame, metric) for metric in metrics]
    return write_report(output / "report", results, pivots, [output])


@pytest.fixture(scope="module")
def browser(page, tmp_path_factory):
    """A fresh Chromium with the page open."""
    driver = chromium(tmp_path_factory.mktemp("chromium"))
    driver.get(page.as_uri())
    yield driver
    driver.quit()


def column(browser, name: str) -> list[str]:
    """The texts of a column of the list of runs, rows that the filter hides left out."""
    return browser.execute_script(
        """
        const list = document.getElementById("list");
        const index = [...list.tHead.rows[0].cells].findIndex((cell) => cell.textContent.trim() === arguments[0]);
        return [...list.tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.cells[index].textContent);
        """,
        name,
    )


def head(browser, name: str):
    return browser.find_element("xpath", f"//table[@id='list']//th[button[text()='{name}']]")


def test_it_opens_without_errors_or_requests(browser, page):
    assert browser.title.startswith("vae_hydra: report on")
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    # The browser's own first page asks for parts of itself.
    sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    asked = [one["request"]["url"] for one in sent if not one["documentURL"].startswith("chrome")]
    assert {url for url in asked if not url.startswith("data:")} == {page.as_uri()}


def test_scripts_in_run_folders_are_not_executed(browser):
    assert browser.execute_script("return window.intruder === undefined")
    assert browser.execute_script("return document.scripts.length") == 1
    assert SCRIPT in browser.find_element("id", "failed").text
    # Even if it came through unescaped, the page runs no script but its own.
    ran = browser.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.intruder = true';"
        "document.body.append(s); s.remove(); return window.intruder === true"
    )
    assert not ran
    assert browser.get_log("browser") != []


def test_numbers_sort_as_numbers_in_both_directions_with_nothing_last(browser):
    sortable = head(browser, "reconstruct/clean/half_sse")
    expected = ["−2.5", "0.001", "3", "9", "10", "11", "100.25"]
    assert sortable.get_attribute("aria-sort") == "none"
    for direction, order in (("ascending", expected), ("descending", expected[::-1])):
        sortable.find_element("tag name", "button").click()
        assert sortable.get_attribute("aria-sort") == direction
        texts = column(browser, "reconstruct/clean/half_sse")
        assert texts == [*order, *[""] * (len(texts) - len(order))]
    other = head(browser, "sampler")
    other.find_element("tag name", "button").click()
    assert sortable.get_attribute("aria-sort") == "none"
    samplers = column(browser, "sampler")
    assert samplers == sorted(samplers)


def test_the_keyboard_sorts_too(browser):
    from selenium.webdriver.common.keys import Keys

    sortable = head(browser, "seed")
    sortable.find_element("tag name", "button").send_keys(Keys.ENTER)
    assert sortable.get_attribute("aria-sort") == "ascending"
    assert column(browser, "seed") == sorted(column(browser, "seed"))


def test_the_filter_keeps_the_rows_with_all_its_words(browser):
    field = browser.find_element("id", "filter")
    field.send_keys("LOGNORMAL digits")
    assert set(column(browser, "sampler")) == {"lognormal"}
    assert browser.find_element("id", "shown").text == "3 of 10 runs"
    field.clear()
    field.send_keys(" ")
    assert browser.find_element("id", "shown").text == "10 of 10 runs"


def test_every_column_can_be_shown(browser):
    extra = head(browser, "final_loss"), head(browser, "batch_size")
    assert [cell.is_displayed() for cell in extra] == [True, False]
    browser.find_element("id", "every").click()
    assert [cell.is_displayed() for cell in extra] == [True, True]


def test_pictures_are_there(browser):
    sizes = browser.execute_script("return [...document.images].map((i) => [i.complete, i.naturalWidth, i.alt.length])")
    assert len(sizes) >= 2
    assert all(complete and width > 0 and words > 0 for complete, width, words in sizes)


def test_failed_and_missing_runs_are_visible(browser):
    table = browser.find_element("css selector", "table.pivot").text
    assert {"FAILED", "missing", "damaged"} <= set(table.split())
    assert "metrics.json is damaged" in browser.find_element("id", "failed").text
    missing = browser.find_element("id", "missing").text
    assert f"train -m {SCRIPT}" in missing
    assert f"python -m vae_hydra.train sampler=gamma 'x={SCRIPT}'" in missing


@pytest.mark.parametrize("width", [420, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_window_and_can_be_read_in_both_schemes(browser, width, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    colours = browser.execute_script(
        "const s = getComputedStyle(document.body); return [s.backgroundColor, s.color].map((c) => c.match(/\\d+/g))"
    )
    ground, ink = (sum(map(int, colour[:3])) / 3 for colour in colours)
    assert (ground > 200 and ink < 60) if scheme == "light" else (ground < 60 and ink > 200)


def test_it_prints(browser):
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 10_000


def test_the_page_needs_no_other_file(page):
    text = page.read_text(encoding="utf-8")
    assert "http://" not in text
    assert "https://" not in text
    assert text.count("<script>") == 1
    assert text.count("data:image/png;base64,") >= 2
