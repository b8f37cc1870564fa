"""The command in a real browser: widgets do what their labels say, and the page loads nothing from elsewhere."""

from __future__ import annotations

import contextlib
import json
import socket
import time
import urllib.request

import numpy as np
import pytest

from tests.support.browser import chromium
from tests.support.device import OPENED_ON
from vae_hydra import explore
from vae_hydra.runs.folder import Run
from vae_hydra.runs.train import train

# Panel draws into shadow trees.
DEEP = """
const found = [];
const walk = (root) => {
    found.push(...root.querySelectorAll(arguments[0]));
    for (const element of root.querySelectorAll("*")) if (element.shadowRoot) walk(element.shadowRoot);
};
walk(document);
return found;
"""
PATIENCE = 60


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


@pytest.fixture
def run(configure):
    config = configure("sampler=lognormal", "noise=uniform", "trainer.max_epochs=1", "model.latent_dim=4")
    train(config)
    return Run.of(config)


@pytest.fixture
def served(run, configure):
    """The address of a page of a quickly trained run, served as the command does."""
    port = free_port()
    options = (f"run={run.folder}", f"port={port}", "open_browser=false", OPENED_ON)
    thread = explore.explore(configure(*options, name="explore"), threaded=True)
    yield f"http://127.0.0.1:{port}/"
    thread.stop()


@pytest.fixture
def browser(served, tmp_path):
    driver = chromium(tmp_path / "chromium", "--window-size=1280,900")
    for _ in range(PATIENCE * 5):
        # The server starts in a thread.
        try:
            urllib.request.urlopen(f"{served}favicon.ico", timeout=PATIENCE).close()
            break
        except OSError:
            time.sleep(0.2)
    driver.get(served)
    yield Browser(driver)
    driver.quit()


class Browser:
    """A browser window: find, read and use widgets."""

    def __init__(self, driver) -> None:
        self.driver = driver

    def find(self, selector: str):
        """The first element of the page that matches, once there is one."""
        return self.until(lambda: next(iter(self.driver.execute_script(DEEP, selector)), None), selector)

    def picture(self, name: str) -> str:
        """The bytes of a picture, as its address has them."""
        host = self.find(f".{name}")
        script = "const image = arguments[0].shadowRoot.querySelector('img'); return image && image.src"
        return self.until(lambda: self.driver.execute_script(script, host), name)

    def changed(self, name: str, before: str) -> str:
        """A picture once it is another than before."""
        return self.until(lambda: (now := self.picture(name)) != before and now, f"another {name}")

    def inside(self, name: str, selector: str):
        """An element of a widget."""
        host = self.find(f".{name}")
        script = "return arguments[0].shadowRoot.querySelector(arguments[1])"
        return self.until(lambda: self.driver.execute_script(script, host, selector), f"{name} {selector}")

    def text(self, name: str) -> str:
        """The text of a widget or a pane."""
        return self.driver.execute_script("return arguments[0].shadowRoot.textContent", self.find(f".{name}"))

    def choose(self, name: str, value: str) -> None:
        """Choose an option of a list by its text."""
        from selenium.webdriver.support.select import Select

        Select(self.inside(name, "select")).select_by_visible_text(value)

    def tab(self, title: str) -> None:
        """Go to a tab; they are drawn anew each time."""
        tabs = self.driver.execute_script(DEEP, ".bk-tab")
        next(tab for tab in tabs if tab.text == title).click()

    def until(self, found, name: str):
        """The first true result of ``found``."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if result := found():
                return result
            time.sleep(0.05)
        raise AssertionError(f"there is no {name}")


def test_a_run_is_explored(browser, served):
    from selenium.webdriver.common.keys import Keys

    # It begins with the code of the first example.
    decoded, reconstruction = browser.picture("decoded"), browser.picture("reconstruction")
    assert decoded == reconstruction
    assert browser.picture("original") == browser.picture("input")
    # A slider moves by the keyboard, and the decoded picture with it.
    handle, before = browser.inside("latent0", ".noUi-handle"), browser.text("latent0")
    handle.send_keys(Keys.PAGE_DOWN if float(handle.get_attribute("aria-valuenow")) > 0.5 else Keys.PAGE_UP)
    browser.changed("decoded", decoded)
    assert browser.text("latent0") != before
    assert "z₀ = " in browser.text("latent0")
    assert browser.picture("reconstruction") == reconstruction
    # Another example.
    field = browser.inside("number", "input")
    field.send_keys(Keys.ARROW_UP)
    reconstruction = browser.changed("reconstruction", reconstruction)
    assert "test example 1," in browser.text("about")
    # A noise that was not that of training.
    clean = browser.picture("input")
    browser.choose("noise", "normal")
    browser.changed("input", clean)
    assert browser.picture("original") == clean
    noisy = browser.changed("reconstruction", reconstruction)
    # Its code into the sliders.
    browser.inside("take", "button").click()
    browser.until(lambda: browser.picture("decoded") == noisy, "code in the sliders")
    # The other tabs.
    browser.tab("Traversals")
    assert browser.inside("traversals", "img").get_attribute("src").startswith("data:image/png")
    assert len(browser.driver.execute_script(DEEP, ".mark")) == 4
    browser.tab("Plane")
    before = browser.picture("decoded")
    click(browser.driver, browser.find(".bk-Canvas"))
    browser.changed("decoded", before)
    assert_it_kept_to_itself(browser.driver, served)


# Milliseconds from a key on a slider's handle to another picture.
LATENCY = """
const [handle, host, key, done] = arguments;
const pressed = performance.now();
const seen = new MutationObserver(() => { seen.disconnect(); done(performance.now() - pressed); });
const all = { attributes: true, childList: true, characterData: true, subtree: true };
for (const root of [host, host.shadowRoot]) if (root) seen.observe(root, all);
handle.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
"""


@pytest.mark.slow
def test_a_picture_follows_a_slider_within_100_ms(browser):
    """pytest -m slow tests/drawing/page/test_app.py -k within -s"""
    from selenium.webdriver.common.keys import Keys

    browser.inside("latent0", ".noUi-handle").send_keys(Keys.HOME)
    browser.picture("decoded")
    handle, host = browser.inside("latent0", ".noUi-handle"), browser.find(".decoded")
    times = []
    for move in range(30):
        # Pages, since a small step may leave every pixel as it is.
        key = "PageDown" if move % 2 else "PageUp"
        times.append(browser.driver.execute_async_script(LATENCY, handle, host, key))
        time.sleep(0.2)
    print(f"median {np.median(times):.0f} ms, longest {max(times):.0f} ms")
    assert np.median(times) < 100


def click(driver, element) -> None:
    """Away from the middle, where the point might be."""
    from selenium.webdriver import ActionChains

    ActionChains(driver).move_to_element_with_offset(element, 150, 120).click().perform()


def assert_it_kept_to_itself(driver, served) -> None:
    assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    # The browser's own first page asks for parts of itself.
    sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    asked = [one["request"]["url"] for one in sent if not one["documentURL"].startswith("chrome")]
    sockets = [e["params"]["url"] for e in events if e["method"] == "Network.webSocketCreated"]
    own = (served, f"blob:{served}", "data:", served.replace("http:", "ws:"))
    assert sockets
    assert [url for url in [*asked, *sockets] if not url.startswith(own)] == []


BAD = {
    "no run": (["run=nowhere"], ["run=nowhere is not a run"]),
    "a port that is none": (["run=nowhere", "port=70000"], ["port must be an integer from 0 to 65535, but got 70000"]),
    "a host that is none": (["run=nowhere", "host=192.0.2.1"], ["host=192.0.2.1", "cannot be served at"]),
    "no host": (["run=nowhere", "host=null"], ["host must be an address of this machine, but got None"]),
    "a browser that is none": (["run=nowhere", "open_browser=firefox"], ["open_browser must be true or false"]),
}


def status(port: int, host: str, path: str) -> int:
    """The status that a request with this Host header is answered with."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return int(connection.recv(1000).split()[1])


def test_a_foreign_host_is_refused(monkeypatch):
    """A site that lets its name point here (DNS rebinding) gets nothing of the page."""
    import panel as pn

    from vae_hydra.drawing.page import app
    from vae_hydra.drawing.page.catalogue import Catalogue

    monkeypatch.setattr(app, "page", lambda *_: pn.Column("a page"))
    port = free_port()
    thread = app.serve(Catalogue(None), "a page", "127.0.0.1", port, False, threaded=True)
    for _ in range(PATIENCE * 5):
        with contextlib.suppress(OSError):
            status(port, "localhost", "/favicon.ico")
            break
        time.sleep(0.2)
    paths = ("/", "/metadata", "/autoload.js?bokeh-autoload-element=1")
    for host in ("localhost", "127.0.0.1", f"localhost:{port}"):
        assert [status(port, host, path) for path in paths] == [200] * 3
    for host in ("example.org", f"example.org:{port}", "localhost.example.org"):
        assert [status(port, host, path) for path in (*paths, "/ws")] == [403] * 4
    thread.stop()


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_served_is_said(name, run_command):
    arguments, expected = BAD[name]
    code, text = run_command(explore, "port=0", *arguments)
    assert code == 2
    assert all(part in text for part in expected)
    assert "Traceback" not in text


def test_a_port_that_is_taken_is_said(run_command):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, text = run_command(explore, "run=nowhere", f"port={port}")
    assert code == 2
    assert f"port={port} cannot be served at" in text
    assert "port=0 takes a free port" in text


def test_without_panel_the_extra_is_named(run_command, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "panel", None)
    for name in ("app", "elements", "point", "example", "latents"):
        monkeypatch.delitem(sys.modules, f"vae_hydra.drawing.page.{name}", raising=False)
    import vae_hydra.drawing.page

    monkeypatch.delattr(vae_hydra.drawing.page, "app", raising=False)
    code, text = run_command(explore, "run=nowhere")
    assert code == 2
    assert "explore needs panel: pip install 'vae_hydra[explore]'" in text
