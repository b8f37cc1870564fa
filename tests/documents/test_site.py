"""The site of the documentation: every page is listed, every group of options has a page, and it builds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
import yaml

from tests.support.composing import REPOSITORY

pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install 'vae_hydra[docs]'")
DOCS, CONF = REPOSITORY / "docs", REPOSITORY / "conf"


@pytest.fixture
def hooks(monkeypatch):
    """The module that MkDocs calls."""
    monkeypatch.syspath_prepend(str(DOCS / "hooks"))
    import generated

    return generated


def configuration() -> dict:
    """mkdocs.yml; its functions are not resolved."""
    loader = type("Loader", (yaml.SafeLoader,), {})
    loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)
    return yaml.load((REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"), loader)


def listed(nav) -> list[str]:
    """The paths of a navigation, from top to bottom."""
    if isinstance(nav, str):
        return [nav]
    entries = nav.values() if isinstance(nav, dict) else nav
    return [path for entry in entries for path in listed(entry)]


def test_every_page_is_listed_once_and_every_listed_page_exists(hooks):
    config = type("Config", (), {"nav": configuration()["nav"]})
    hooks.on_config(config)
    made = [path for module in hooks.GENERATED.values() for path in module.pages() if path.endswith(".md")]
    written = [path.relative_to(DOCS).as_posix() for path in DOCS.glob("*.md")]
    assert sorted(listed(config.nav)) == sorted([*made, *written, *(set(hooks.OUTSIDE.values()) - {"index.md"})])


# Of Hydra's own groups, only the launchers are for users.
GROUPS = sorted(path for path in CONF.iterdir() if path.is_dir() and path.name not in ("hydra", "__pycache__"))
GROUPS += [path for path in [CONF / "hydra" / "launcher"] if path.is_dir()]


@pytest.mark.parametrize("folder", GROUPS, ids=lambda p: p.name)
def test_the_reference_has_every_option_of_every_group(folder, hooks):
    import options

    page = options.pages()[f"reference/{folder.name}.md"]
    headings = re.findall(r"^## (?:Shared: )?(.+)$", page, re.MULTILINE)
    names = [path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml")]
    assert sorted(headings) == sorted(name.removeprefix("_") for name in names)
    first_lines = [options.title(path.read_text(encoding="utf-8")) for path in folder.rglob("*.yaml")]
    assert not [line for line in first_lines if not line or options._cell(line) not in page]


@pytest.mark.parametrize("path", sorted(CONF.glob("[!_]*.yaml")), ids=lambda p: p.name)
def test_the_reference_has_every_value_of_a_command(path, hooks):
    import options

    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    page = options.pages()["reference/commands.md"]
    assert f"## {path.stem}\n" in page
    assert not [key for key in values if key not in options.LEFT_OUT and not re.search(rf"`{key}[`.]", page)]


def test_options_are_read_with_their_comments(hooks):
    import options

    text = (
        "# A title\nname: gamma  # beside\n# Above,\n# on two lines.\nnll:\n  samples: 0\n  more: [1, 2]  # list\n"
        "empty: null\nnames:\n  - a\n  - b\nlast: 1  # of all\nhydra:\n  x: 1\n"
    )
    assert options.title(text) == "A title"
    assert options.options(text, "x.") == [
        ("x.name", "gamma", "beside"),
        ("x.nll.samples", "0", "Above, on two lines."),
        ("x.nll.more", "[1, 2]", "list"),
        ("x.empty", "null", ""),
        ("x.names", "- a\n  - b", ""),
        ("x.last", "1", "of all"),
    ]


def test_the_api_has_every_module_with_public_names(hooks):
    import api

    text = "".join(api.pages().values())
    modules = [path.relative_to(REPOSITORY) for path in (REPOSITORY / "vae_hydra" / "model").rglob("[!_]*.py")]
    assert len(modules) > 20
    assert not [path for path in modules if f"::: {'.'.join(path.with_suffix('').parts)}\n" not in text]


def test_a_link_leads_to_the_same_place_here_and_on_github(hooks):
    page = type("Page", (), {"file": type("File", (), {"src_uri": "train.md"}), "meta": {}})
    text = "[a](../CONTRIBUTING.md#a-sampler) [b](runs.md)\n| `x\\|y` | p(x\\|z) |"
    expected = "[a](contributing.md#a-sampler) [b](runs.md)\n| `x|y` | p(x\\|z) |"
    assert hooks.on_page_markdown(text, page) == expected
    page.file.src_uri = "changelog.md"
    text = "[a](docs/results.md#time) [b](https://x.org/y) [c](CONTRIBUTING.md) [d](#top)"
    expected = "[a](results.md#time) [b](https://x.org/y) [c](contributing.md) [d](#top)"
    assert hooks.on_page_markdown(text, page) == expected


def test_a_doctest_becomes_a_block_of_code(hooks):
    import doctests

    text = "A sum.\n\n>>> 1 + 1\n2\n\nMore."
    assert doctests.fenced(text) == "A sum.\n\n```pycon\n>>> 1 + 1\n2\n```\n\nMore."


class Addresses(HTMLParser):
    """What a page loads by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {"link": "href", "script": "src", "img": "src"}
        values = dict(attrs)
        if tag in names and values.get("rel") != "canonical":
            self.found.append(values.get(names[tag]) or "")


@pytest.mark.slow
def test_the_site_builds_without_warnings_and_loads_nothing_from_elsewhere(tmp_path):
    """Half a minute: ``pytest -m slow tests/documents/test_site.py``."""
    environment = {
        **os.environ,
        "NO_MKDOCS_2_WARNING": "1",
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 40
    assert not [(page.name, a) for page in pages for a in Addresses(page.read_text()).found if a.startswith("http")]
