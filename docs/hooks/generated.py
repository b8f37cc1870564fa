"""MkDocs' hook: pages that are made when the site is built, and links that lead to the same place on GitHub."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import api
import gallery
import options
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
# Files outside docs/ → their page.
OUTSIDE = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
GENERATED = {"Options": options, "Python API": api, "Notebooks": gallery}
# Pages of wide tables.
WIDE = ("reproductions.md",)
CODE_IN_TABLE = re.compile(r"`[^`\n]*`")


def on_config(config: Any) -> None:
    """Complete the navigation."""
    for entry in config.nav:
        for name, module in GENERATED.items():
            if name in entry:
                entry[name] = module.nav()


def on_files(files: Files, config: Any) -> None:
    """Add the pages."""
    for module in GENERATED.values():
        for path, content in module.pages().items():
            files.append(File.generated(config, path, content=content))
    for source, page in OUTSIDE.items():
        if page != "index.md":
            files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links to files outside docs/ lead to their pages; a pipe in code within a table needs no backslash here."""
    if page.file.src_uri in WIDE:
        page.meta["hide"] = ["toc"]
    if page.file.src_uri in OUTSIDE.values() and page.file.src_uri != "index.md":
        markdown = re.sub(r"\]\((?=[\w./#-]+\))(?!http|#)", "](../", markdown).replace("](../docs/", "](")
    for source, target in OUTSIDE.items():
        markdown = markdown.replace(f"](../{source}", f"]({target}")
    markdown = re.sub(r"\]\(\.\./notebooks/(\w+)\.ipynb", r"](notebooks/\1.md", markdown)
    return "\n".join(_plain_pipes(line) if line.startswith("|") else line for line in markdown.split("\n"))


def _plain_pipes(row: str) -> str:
    return CODE_IN_TABLE.sub(lambda match: match[0].replace("\\|", "|"), row)
