"""What an installed wheel holds."""

from __future__ import annotations

import re
import tomllib

import yaml

from tests.support.composing import REPOSITORY


def test_every_package_is_in_the_wheel():
    """An editable installation finds a package that the list lacks, a wheel does not."""
    listed = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = (path.parent.relative_to(REPOSITORY) for path in (REPOSITORY / "vae_hydra").rglob("__init__.py"))
    packages = {".".join(folder.parts) for folder in folders if "hydra_plugins" not in folder.parts}
    assert packages | {"vae_hydra.conf", "hydra_plugins.vae_hydra"} == set(listed)


def test_citation_and_package_have_one_version():
    cited = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert (cited["title"], cited["version"], cited["license"]) == ("vae_hydra", project["version"], project["license"])
    # What version 1.2.0 of the format demands.
    assert cited["cff-version"] == "1.2.0"
    assert cited["authors"]
    assert cited["message"]


def test_a_release_is_what_the_makefile_builds_and_checks():
    workflow = yaml.safe_load((REPOSITORY / ".github/workflows/release.yml").read_text())
    build, publish = workflow["jobs"]["build"], workflow["jobs"]["publish"]
    assert {"run": "make dist"} in build["steps"]
    assert publish["permissions"] == {"id-token": "write"}
    recipe = (REPOSITORY / "Makefile").read_text().partition("\ndist:")[2].partition("\n\n")[0]
    assert "twine check --strict" in recipe


def test_the_docker_image_copies_files_that_exist():
    text = (REPOSITORY / "Dockerfile").read_text()
    copied = [word for line in text.splitlines() if line.startswith("COPY ") for word in line.split()[1:-1]]
    ignored = (REPOSITORY / ".dockerignore").read_text().split()
    assert copied
    for name in copied:
        assert (REPOSITORY / name).exists()
        assert f"!{name}" in ignored
    extras = re.search(r"'\.\[(.*)\]'", text)[1].split(",")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert set(extras) <= set(project["optional-dependencies"])
