"""The notebooks as pages, with the outputs that are stored in them; ``make notebooks`` executes them."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def notebooks() -> list[Path]:
    """The files, in the order of their numbers."""
    return sorted(NOTEBOOKS.glob("*.ipynb"))


def title(path: Path) -> str:
    """The heading of a notebook's first cell."""
    first = nbformat.read(path, as_version=4).cells[0].source
    return first.splitlines()[0].removeprefix("# ")


def pages() -> dict[str, str | bytes]:
    """Path in the site → Markdown, or a picture."""
    made: dict[str, str | bytes] = {"notebooks/index.md": index_page()}
    for path in notebooks():
        folder = f"{path.stem}_files"
        text, resources = MarkdownExporter().from_filename(
            str(path), {"output_files_dir": folder, "unique_key": "output"}
        )
        made[f"notebooks/{path.stem}.md"] = text
        made |= {f"notebooks/{name}": content for name, content in resources["outputs"].items()}
    return made


def index_page() -> str:
    """The list of notebooks, each with its first picture."""
    entries = [f"## [{title(path)}]({path.stem}.md)\n\n{_about(path)}\n" for path in notebooks()]
    intro = (
        "These notebooks are in `notebooks/`. `make notebooks` trains their runs in a few minutes and executes them."
    )
    return "\n".join([f"# Notebooks\n\n{intro}\n", *entries])


def _about(path: Path) -> str:
    """The second paragraph of the first cell."""
    return nbformat.read(path, as_version=4).cells[0].source.split("\n\n")[1]


def nav() -> list[dict[str, str]]:
    """The navigation of these pages."""
    return [{"Overview": "notebooks/index.md"}, *({title(path): f"notebooks/{path.stem}.md"} for path in notebooks())]
