"""The reference of the Python API: a page for each package, from its docstrings."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "vae_hydra"


def packages() -> list[str]:
    """The packages of vae_hydra, by name."""
    return sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def modules(package: str) -> list[str]:
    """Dotted paths of a package's modules that define public names."""
    files = sorted((PACKAGE / package).rglob("*.py"))
    public = [path for path in files if "hydra_plugins" not in path.parts and _defines(path)]
    return [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__") for path in public
    ]


def _defines(path: Path) -> bool:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.ClassDef)
    return any(isinstance(node, kinds) and not node.name.startswith("_") for node in tree.body)


def about(package: str) -> str:
    """The docstring of a package."""
    return ast.get_docstring(ast.parse((PACKAGE / package / "__init__.py").read_text(encoding="utf-8"))) or ""


def package_page(package: str) -> str:
    """The page of a package."""
    blocks = [f"::: {name}\n" for name in modules(package)]
    return "\n".join([f"# {package}\n\n{about(package)}\n", *blocks])


def index_page() -> str:
    """The public entry, and the list of packages."""
    lines = [f"| [`vae_hydra.{name}`]({name}.md) | {about(name).splitlines()[0]} |" for name in packages()]
    intro = "These pages are made from docstrings when the site is built. [Python](../python.md) has examples."
    return "\n".join([f"# Python API\n\n{intro}\n", "| package | |", "|---|---|", *lines, "", "::: vae_hydra\n"])


def pages() -> dict[str, str]:
    """Path in the site → Markdown."""
    return {"api/index.md": index_page(), **{f"api/{name}.md": package_page(name) for name in packages()}}


def nav() -> list[dict[str, str]]:
    """The navigation of these pages."""
    return [{"vae_hydra": "api/index.md"}, *({name: f"api/{name}.md"} for name in packages())]
