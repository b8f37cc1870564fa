"""What is written for readers: docstrings that are there and examples that run, links that lead somewhere."""

from __future__ import annotations

import ast
import doctest
import importlib
import re

import pytest

from tests.conftest import REPOSITORY
from tests.test_house import PACKAGE

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "conf" not in path.relative_to(PACKAGE).parts)
DOCUMENTS = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_everything_public_has_a_docstring(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.ClassDef)
    public = [node for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]
    assert ast.get_docstring(tree)
    assert not [node.name for node in public if not ast.get_docstring(node)]


def test_examples_in_docstrings_run():
    module = importlib.import_module("vae_hydra.distributions.inverse_gaussian")
    result = doctest.testmod(module, extraglobs={"torch": importlib.import_module("torch")})
    assert (result.attempted, result.failed) == (1, 0)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_links_and_pictures_lead_somewhere(path):
    targets = re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8"))
    local = [target for target in targets if not target.startswith("http")]
    assert not [target for target in local if not (path.parent / target).exists()]
