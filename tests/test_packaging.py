"""What an installed wheel holds."""

from __future__ import annotations

import tomllib

from tests.support.composing import REPOSITORY


def test_every_package_is_in_the_wheel():
    """An editable installation finds a package that the list lacks, a wheel does not."""
    listed = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = (path.parent.relative_to(REPOSITORY) for path in (REPOSITORY / "vae_hydra").rglob("__init__.py"))
    packages = {".".join(folder.parts) for folder in folders if "hydra_plugins" not in folder.parts}
    assert packages | {"vae_hydra.conf", "hydra_plugins.vae_hydra"} == set(listed)
