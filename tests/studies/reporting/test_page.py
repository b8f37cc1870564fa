"""report.html in a browser: it opens from a file, sorts, filters, draws, links, and executes no script of a run."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import numpy as np
import pytest
from PIL import Image

from tests.support import made
from tests.support.browser import chromium
from vae_hydra.runs.identity import run_name
from vae_hydra.studies.reporting import collect, pivot
from vae_hydra.studies.reporting.write import write_report

SCRIPT = "<script>window.intruder = true</script>"
IMAGE = "<img src=x onerror='window.intruder = true'>"
# Text, 9 before 10, negative before both, nothing last.
SCORES = {"normal": [10.0, 9.0, -2.5], "lognormal": [100.25, 11.0, 1e-3]}
# Validation losses by epoch and seed.
LOSSES = [[9.0, 10.0, 14.0], [5.0, 6.0, 7.0], [4.0, 4.5, 5.0]]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report of a sweep with everything in it: runs that failed, are missing, damaged, and one of a stranger."""
    output = tmp_path_factory.mktemp("runs")
    generator = np.random.default_rng(0)
    originals = generator.random((10, 1, 8, 8), dtype=np.float32)
    for sampler, scores in SCORES.items():
        for seed, score in enumerate(scores):
            folder = made.run(output, score, sampler=sampler, seed=seed)
            (folder / "figures").mkdir()
            reconstruction = generator.random(originals.shape, dtype=np.float32)
            np.savez(folder / "figures" / "examples.npz", original=originals, reconstruction=reconstruction)
            Image.new("L", (4, 4)).save(folder / "figures" / "loss curves.png")
            rows = [f"{epoch},{losses[seed] - epoch},{losses[seed]}" for epoch, losses in enumerate(LOSSES)]
            (folder / "metrics.csv").write_text("\n".join(["epoch,train/loss,val/loss", *rows]))
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
    return browser.find_element("xpath", f"//table[@id='list']//th[@data-column='{name}']")


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
    assert browser.execute_script("return [...document.scripts].map((s) => s.type)") == ["application/json", ""]
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


def press(browser, button: str) -> None:
    browser.execute_script("document.getElementById(arguments[0]).click()", button)


def filtered(browser, text: str) -> tuple[list[str], str]:
    """The runs' samplers and seeds that a filter keeps, and what the page says of it."""
    browser.execute_script("filterBy(arguments[0])", text)
    kept = [
        f"{sampler[:9]}{seed}" for sampler, seed in zip(*(column(browser, n) for n in ("sampler", "seed")), strict=True)
    ]
    said = browser.find_element("id", "shown").text
    browser.execute_script("filterBy('')")
    return sorted(kept), said


NORMAL, LOGNORMAL = ([f"{name}{seed}" for seed in range(3)] for name in SCORES)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("LOGNORMAL digits", LOGNORMAL),
        ("sampler=normal noise=none", NORMAL),
        ("sampler=normal,lognormal noise=none", [*LOGNORMAL, *NORMAL]),
        ("sampler_label=normal noise_label=none seed<=1", NORMAL[:2]),
        ("reconstruct/clean/half_sse>10", LOGNORMAL[:2]),
        ("half_sse=−2.5", NORMAL[2:]),
        ("half_sse=-2.5", NORMAL[2:]),
        ('"lognormal" seed!=0', LOGNORMAL[1:]),
        ('status=done "normal" seed=1', NORMAL[1:2]),
        ('dataset="digits" final_loss<0 sampler=lognormal', []),
        ("sampler= seed=2 status=done", [LOGNORMAL[2], NORMAL[2]]),
        ('"normal', [*NORMAL, "normal0"]),
    ],
)
def test_the_filter_keeps_the_rows_with_all_its_terms(text, kept, browser):
    assert filtered(browser, text) == (sorted(kept), f"{len(kept)} of 10 runs")


@pytest.mark.parametrize(
    ("text", "error"), [("smapler=normal", "there is no column smapler"), ("own=1", "no column own")]
)
def test_a_filter_that_names_no_column_says_so(text, error, browser):
    kept, said = filtered(browser, text)
    assert len(kept) == 10
    assert error in said


def test_the_cells_of_a_table_lead_to_their_runs(browser):
    cell = browser.find_element("css selector", "figure.table:not(.folded) a[data-sampler='lognormal']")
    browser.execute_script("arguments[0].click()", cell)
    assert column(browser, "sampler") == ["lognormal"] * 3
    assert browser.find_element("id", "filter").get_property("value").startswith("dataset=digits noise_label=none")
    browser.execute_script("filterBy('')")


def test_one_table_is_shown_at_a_time_and_all_are_printed(browser):
    def shown() -> list[bool]:
        return [table.is_displayed() for table in browser.find_elements("css selector", "figure.table")]

    assert shown() == [True, False]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert shown() == [True, True]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert browser.find_element("id", "tables").text.count("Mean ± standard deviation") == 1


def test_heads_stay_while_the_list_scrolls(browser):
    tops = browser.execute_script(
        "const box = document.querySelector('#runs .scroll'); box.style.maxHeight = '6rem'; box.scrollTop = 80;"
        "const top = (one) => one.getBoundingClientRect().top;"
        "const tops = [box.scrollTop, top(box), top(document.querySelector('#list th'))];"
        "box.style.maxHeight = ''; return tops"
    )
    assert tops[0] == 80
    assert tops[2] == pytest.approx(tops[1], abs=2)


def test_links_lead_to_the_folders_and_their_pictures(browser, page):
    links = browser.execute_script(
        "return [...document.querySelectorAll('#list a')].map((a) => [a.textContent, a.href])"
    )
    assert len(links) == 9
    for name, address in links:
        folder = Path(url2pathname(urlparse(address).path))
        assert (folder.name, (folder / "run.json").is_file()) == (name, True)
    chips = browser.find_elements("css selector", "#list .chip")
    browser.execute_script("arguments[0].click()", next(chip for chip in chips if chip.text == "1 picture"))
    wait = "return [...document.querySelectorAll('dialog img')].map((i) => [decodeURI(i.src), i.naturalWidth])"
    deadline = time.monotonic() + 10
    while not (found := browser.execute_script(wait))[0][1] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [(address.rpartition("/")[2], width) for address, width in found] == [("loss curves.png", 4)]
    files = browser.execute_script("return [...document.querySelectorAll('dialog .files a')].map((a) => a.textContent)")
    assert files == ["config.yaml", "metrics.json", "metrics.csv"]
    browser.execute_script("document.getElementById('run').close()")


def test_links_can_be_moved_with_the_runs(browser, page):
    first = "return document.querySelector('#list a').href"
    before = browser.execute_script(first)
    change = "byId('base').value = arguments[0]; byId('base').dispatchEvent(new Event('change'))"
    browser.execute_script(change, "file:///elsewhere")
    assert browser.execute_script(first) == f"file:///elsewhere/{before.rstrip('/').rpartition('/')[2]}/"
    browser.execute_script(change, "")
    assert browser.execute_script(first) == before


def drawn(browser, seeds: str) -> list[dict]:
    """The lines of the validation losses of all finished runs."""
    return browser.execute_script(
        "byId('curve-runs').value = JSON.stringify(['digits', 'none', '']); byId('curve-seeds').value = arguments[0];"
        "drawCurves(); const done = chosenRuns().filter((run) => valueOf(run, 'status') === 'done');"
        "return linesOf(done, 'val/loss', false)",
        seeds,
    )


def test_curves_are_of_seeds_or_their_means_and_spreads(browser):
    each = [line["y"] for line in drawn(browser, "each") if len(line["y"]) == 3]
    assert sorted(each) == sorted(2 * np.transpose(LOSSES).tolist())
    for seeds, low, high in (
        ("spread", np.mean(LOSSES, 1) - np.std(LOSSES, 1, ddof=1), np.mean(LOSSES, 1) + np.std(LOSSES, 1, ddof=1)),
        ("range", np.min(LOSSES, 1), np.max(LOSSES, 1)),
    ):
        lines = [line for line in drawn(browser, seeds) if len(line["runs"]) == 3]
        assert len(lines) == 2
        for line in lines:
            assert line["x"] == [0, 1, 2]
            np.testing.assert_allclose([line[name] for name in ("y", "low", "high")], [np.mean(LOSSES, 1), low, high])
    bands = browser.execute_script("return document.querySelectorAll('#curve-chart .band').length")
    names = browser.execute_script(
        "return [...document.querySelectorAll('#curve-chart .legend li')].map((l) => l.textContent)"
    )
    assert bands >= 2
    assert any("normal" in name and "seeds 0 1 2" in name for name in names)


def test_scores_are_a_dot_for_each_seed_on_their_scale(browser):
    places = browser.execute_script(
        "const dots = [...document.querySelectorAll('#score-chart circle')];"
        "return dots.map((dot) => [dot.textContent.match(/: (.*)/)[1], dot.getAttribute('cx')])"
    )
    found = {text: float(place.rstrip("%")) for text, place in places}
    assert len(places) == 7
    assert found["−2.5"] < found["0.001"] < found["9"] < found["10"] < found["11"] < found["100.25"]
    scale = (found["10"] - found["−2.5"]) / 12.5
    assert found["100.25"] - found["10"] == pytest.approx(90.25 * scale, rel=1e-2)
    text = "return [[0.7036, 0.0234], [-12.34, 11.7], [3, NaN], [5e4, 321]].map((pair) => meanText(...pair))"
    assert browser.execute_script(text) == ["0.704 ± 0.023", "−12 ± 12", "3", "50000 ± 321"]


def test_every_column_can_be_shown(browser):
    heads = "return [...document.querySelectorAll('#list thead button')].map((b) => b.textContent)"
    usual = browser.execute_script(heads)
    assert "final_loss" in usual
    assert "batch_size" not in usual
    press(browser, "every")
    assert {*usual, "batch_size", "sampler_label"} < set(browser.execute_script(heads))
    assert set(column(browser, "batch_size")) >= {"64"}
    browser.execute_script("document.querySelector('#columns input[value=batch_size]').click()")
    assert "batch_size" not in browser.execute_script(heads)
    press(browser, "usual")
    assert browser.execute_script(heads) == usual


def test_pictures_are_there(browser):
    sizes = browser.execute_script("return [...document.images].map((i) => [i.complete, i.naturalWidth, i.alt.length])")
    # The original and two samplers.
    assert len(sizes) == 3
    assert all(complete and width > 0 and words > 0 for complete, width, words in sizes)


def test_failed_and_missing_runs_are_visible(browser):
    table = browser.find_element("css selector", "table.pivot").text
    assert {"FAILED", "missing", "damaged"} <= set(table.split())
    assert "metrics.json is damaged" in browser.find_element("id", "failed").text
    missing = browser.find_element("id", "missing").text
    assert f"train -m {SCRIPT}" in missing
    assert f"python -m vae_hydra.train sampler=gamma 'x={SCRIPT}'" in missing


@pytest.mark.parametrize("width", [400, 1400])
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
    assert text.count("data:image/webp;base64,") == 3
