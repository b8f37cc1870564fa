"""torchvision is needed for its datasets and for resizing alone: an installation for the CPU may lack it."""

from __future__ import annotations

import ast
from pathlib import Path

from torchvision.datasets.folder import IMG_EXTENSIONS

import vae_hydra
from vae_hydra.data.image_folder import SUFFIXES


def test_endings_of_images_are_those_of_torchvision():
    assert SUFFIXES == IMG_EXTENSIONS


def test_only_its_datasets_import_it_at_once():
    found = set()
    for path in Path(vae_hydra.__file__).parent.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found |= {path.stem for name in names if name.split(".")[0] == "torchvision"}
    assert found == {"celeba", "torchvision_images"}
