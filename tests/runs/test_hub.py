"""Models on a Hub: uploaded by one user and loaded by another, who runs no code of the first.

The Hub is a server of this machine with a small part of its interface; the real one was not tried.
"""

from __future__ import annotations

import importlib.util

import pytest
import torch
import yaml

import vae_hydra
from tests.support.documents import python_blocks
from tests.support.fake_hub import fake_hub
from tests.support.untrained_runs import TINY, untrained
from vae_hydra.runs.sharing import hub

needs_hub = pytest.mark.skipif(
    importlib.util.find_spec("huggingface_hub") is None, reason="huggingface_hub, of the extra hub, is not installed"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp("outputs"), *TINY.split(), "sampler=lognormal")


@pytest.fixture
def repositories(monkeypatch, tmp_path):
    """The repositories of a Hub that huggingface_hub talks to, name → file → content."""
    constants = pytest.importorskip("huggingface_hub.constants")
    with fake_hub() as (address, found):
        for name, value in {
            "ENDPOINT": address,
            "HUGGINGFACE_CO_URL_TEMPLATE": address + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(tmp_path / "cache"),
        }.items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("HF_TOKEN", "of-the-test")
        yield found


def weights(model):
    return list(model.state_dict().values())


@needs_hub
def test_a_model_comes_back_from_the_hub_to_the_bit(run, repositories):
    commit = vae_hydra.push_to_hub(run, "someone/digits", ["formats=safetensors"])
    assert "/someone/digits/commit/" in commit
    assert set(repositories["someone/digits"]) == {"README.md", "config.yaml", "export.json", "model.safetensors"}
    assert repositories["someone/digits"]["README.md"].startswith(b"---\nlibrary_name: vae_hydra\n")
    model = vae_hydra.load("hf://someone/digits")
    assert all(map(torch.equal, weights(model), weights(vae_hydra.load(run))))
    assert vae_hydra.load("hf://someone/digits@main").latent_dim == model.latent_dim
    assert not (run.folder / "export").exists()


@needs_hub
def test_a_run_in_the_working_folder_keeps_its_name(run, repositories, monkeypatch):
    monkeypatch.chdir(run.folder)
    monkeypatch.setattr(hub, "upload", lambda folder, *_: folder.name)
    assert vae_hydra.push_to_hub(".", "someone/digits", ["formats=safetensors"]) == run.name


@needs_hub
def test_code_of_a_stranger_does_not_run(run, repositories):
    vae_hydra.push_to_hub(run, "stranger/digits", ["formats=safetensors"])
    files = repositories["stranger/digits"]
    config = yaml.safe_load(files["config.yaml"])
    config["sampler"]["_target_"] = "os.system"
    files["config.yaml"] = yaml.safe_dump(config).encode()
    with pytest.raises(ValueError, match=r"os\.system"):
        vae_hydra.load("hf://stranger/digits")


@needs_hub
def test_a_repository_that_is_none_of_ours_is_refused(repositories):
    repositories["someone/other"] = {"config.yaml": b"{}"}
    with pytest.raises(ValueError, match=r"was not written by vae_hydra: it has no model\.safetensors"):
        vae_hydra.load("hf://someone/other")
    with pytest.raises(ValueError, match=r"hf://someone/absent cannot be fetched: .*404"):
        vae_hydra.load("hf://someone/absent")


@needs_hub
def test_an_upload_that_is_refused_says_why(run, repositories, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "of-another")
    with pytest.raises(ValueError, match=r"someone/digits cannot be written: .*401"):
        vae_hydra.push_to_hub(run, "someone/digits", ["formats=safetensors"])
    with pytest.raises(ValueError, match="formats must be one of"):
        vae_hydra.push_to_hub(run, "someone/digits", ["formats=pickle"])
    assert not repositories


@needs_hub
def test_a_hub_that_does_not_answer_is_an_error(run, repositories, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ValueError, match="someone/digits cannot be written: "):
        vae_hydra.push_to_hub(run, "someone/digits", ["formats=safetensors"])
    with pytest.raises(ValueError, match="hf://someone/digits cannot be fetched: "):
        vae_hydra.load("hf://someone/digits")


@pytest.mark.parametrize("name", ["digits", "a/b/c", "a/b@main", 5])
def test_a_name_that_is_none_is_refused(name, run):
    with pytest.raises(ValueError, match="must be OWNER/NAME"):
        vae_hydra.push_to_hub(run, name)


@pytest.mark.parametrize("address", ["hf://digits", "hf://a/b/c", "hf://a/b@", "hf://"])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(ValueError, match="is no address on the Hub; write hf://OWNER/NAME"):
        vae_hydra.load(address)


def test_without_the_package_the_extra_is_named(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "huggingface_hub" else find(name))
    for call in (lambda: vae_hydra.load("hf://a/b"), lambda: hub.check_repository("a/b")):
        with pytest.raises(ValueError, match=r"pip install 'vae_hydra\[hub\]'"):
            call()


@needs_hub
def test_the_code_of_the_page_runs(run, repositories):
    (code,) = (code for name, code in python_blocks() if name == "sharing.md")
    exec(code.replace("outputs/RUN", str(run.folder)), {})
    assert list(repositories) == ["OWNER/NAME"]
