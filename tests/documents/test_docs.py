"""What a reader finds: docstrings, links that lead somewhere, tests in the folder of their subject."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import vae_hydra
from tests.support.composing import REPOSITORY

PACKAGE = Path(vae_hydra.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "conf" not in path.relative_to(PACKAGE).parts)
DOCUMENTS = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_everything_public_has_a_docstring(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.ClassDef)
    public = [node for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]
    assert ast.get_docstring(tree)
    assert not [node.name for node in public if not ast.get_docstring(node)]


def anchors(path: Path) -> set[str]:
    """The headings of a document as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_links_and_pictures_lead_somewhere(path):
    targets = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    local = [target.partition("#") for target in targets if not target.startswith("http")]
    files = [(path.parent / target if target else path, anchor) for target, _, anchor in local]
    assert not [str(file) for file, _ in files if not file.exists()]
    assert not [anchor for file, anchor in files if anchor and anchor not in anchors(file)]


def test_reproductions_have_no_figure_that_results_lack():
    results = (REPOSITORY / "docs" / "results.md").read_text(encoding="utf-8")
    page = (REPOSITORY / "docs" / "reproductions.md").read_text(encoding="utf-8")
    rows = re.sub(r"`[^`]*`|\]\([^)]*\)", "", "\n".join(re.findall(r"^\|.*$", page, re.MULTILINE)))
    figures = re.findall(r"\d+\.\d+(?: ± \d+\.\d+)?", rows)
    assert len(figures) > 50
    assert not [figure for figure in figures if figure not in results]


def test_readme_stays_short():
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


TESTS = sorted((REPOSITORY / "tests").rglob("*.py"))
NOT_OF_THE_PACKAGE = {"support", "commands", "documents", "gpu", "slurm"}


@pytest.mark.parametrize("path", TESTS, ids=lambda p: p.relative_to(REPOSITORY / "tests").as_posix())
def test_test_files_import_from_support_and_from_no_other_test_file(path):
    imported = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imported += [f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names]
    ours = [name for name in imported if name.startswith((".", "tests."))]
    assert not [name for name in ours if not name.startswith(("tests.support.", "tests.slurm."))]


def test_folders_of_tests_are_those_of_the_package():
    folders = {path.parent.relative_to(REPOSITORY / "tests").as_posix() for path in TESTS} - NOT_OF_THE_PACKAGE
    assert not [folder for folder in folders if not (PACKAGE / folder).is_dir()]
